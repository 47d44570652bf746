#include "pg/format/support.h"

#include <iterator>

namespace standfast::pg {
namespace {

/// Of each supported major, the oldest first.
constexpr std::int64_t kLastFixes[] = {
    1'732'147'200,  // 2024-11-21
    1'762'992'000,  // 2025-11-13
    1'794'441'600,  // 2026-11-12
    1'825'891'200,  // 2027-11-11
    1'857'340'800,  // 2028-11-09
    1'888'790'400,  // 2029-11-08
    1'920'844'800,  // 2030-11-14
};
static_assert(std::size(kLastFixes) == Version::kNewestMajor - Version::kOldestMajor + 1);

}  // namespace

std::int64_t last_fix_unix_seconds(Version version) {
  return version.is_supported() ? kLastFixes[version.major() - Version::kOldestMajor] : 0;
}

}  // namespace standfast::pg
