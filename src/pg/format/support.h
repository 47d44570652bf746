// How long PostgreSQL mends a major: until its last minor release, five years after the first.
//
// Threading: pure. Follows: postgresql.org/support/versioning.
#pragma once

#include <cstdint>

#include "pg/format/versions.h"

namespace standfast::pg {

/// When its major gets, or got, its last fixes; 0 for a major that is not supported here.
std::int64_t last_fix_unix_seconds(Version version);

}  // namespace standfast::pg
