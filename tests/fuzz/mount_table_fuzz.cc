// /proc/self/mountinfo: any text is taken; a mount point that was read is found again by its own path, and
// the last of two on one point wins.
#include <string>

#include "fuzz_input.h"
#include "setup/mount_table.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto mounts = standfast::setup::parse_mount_table(standfast::fuzz::as_text(data, size));
  for (const auto& mount : mounts) {
    if (mount.mount_point.empty() || mount.mount_point.front() != '/') continue;
    const auto* found = standfast::setup::mount_of(mounts, mount.mount_point);
    CHECK(found != nullptr);
    CHECK(found->mount_point.size() >= mount.mount_point.size() || found >= &mount);
  }
  return 0;
}
