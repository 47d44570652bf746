// /proc/self/mountinfo: whatever it says, mount points are absolute, and what lies below a folder has its
// name before it.
#include <string>

#include "clone/mounts.h"
#include "fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto points = standfast::clone::parse_mount_points(standfast::fuzz::as_text(data, size));
  for (const std::string& point : points) CHECK(point.starts_with('/'));
  const std::string folder = points.empty() ? "/srv" : points.front();
  const auto mounts = standfast::clone::mounts_at(points, folder);
  CHECK(points.empty() || mounts.itself);
  for (const std::string& name : mounts.entries) CHECK(name.find('/') == std::string::npos);
  for (const std::string& path : mounts.deeper) CHECK(path.starts_with(folder + "/"));
  return 0;
}
