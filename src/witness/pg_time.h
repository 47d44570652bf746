// The time as PostgreSQL's protocol sends it: microseconds since 2000-01-01 (utils/timestamp.h).
#pragma once

#include <cstdint>

namespace standfast::witness {

std::int64_t now_in_pg_microseconds();

}  // namespace standfast::witness
