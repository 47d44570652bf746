// /proc/self/mountinfo: any text is taken. Mount points are absolute; one that was read is found again by its
// own path, and the last of two on one point wins; what lies below a folder has its name before it.
#include <string>

#include "env/mount_table.h"
#include "fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto mounts = standfast::env::parse_mount_table(standfast::fuzz::as_text(data, size));
  for (const auto& mount : mounts) {
    CHECK(mount.mount_point.starts_with('/'));
    const auto* found = standfast::env::mount_of(mounts, mount.mount_point);
    CHECK(found != nullptr);
    CHECK(found->mount_point.size() >= mount.mount_point.size() || found >= &mount);
  }
  const std::string folder = mounts.empty() ? "/srv" : mounts.front().mount_point;
  const auto at = standfast::env::mounts_at(mounts, folder);
  CHECK(mounts.empty() || at.itself);
  for (const std::string& name : at.entries) CHECK(name.find('/') == std::string::npos);
  for (const std::string& path : at.deeper) CHECK(path.starts_with(folder + "/"));
  return 0;
}
