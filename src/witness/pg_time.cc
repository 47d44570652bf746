#include "witness/pg_time.h"

#include <chrono>

namespace standfast::witness {

std::int64_t now_in_pg_microseconds() {
  using std::chrono::microseconds;
  constexpr std::int64_t kPgEpochUnixSeconds = 946'684'800;
  const auto unix_time =
      std::chrono::duration_cast<microseconds>(std::chrono::system_clock::now().time_since_epoch());
  return unix_time.count() - kPgEpochUnixSeconds * 1'000'000;
}

}  // namespace standfast::witness
