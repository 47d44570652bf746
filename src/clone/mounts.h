// Where file systems are mounted, by /proc/self/mountinfo (proc(5)): bind mounts of the same device too,
// which no comparison of device numbers tells.
//
// Threading: any; parse_mount_points() is pure. Fails: kIo.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"

namespace standfast::clone {

/// The fifth field of each line, its \040 and the like resolved. A line that is not understood is left out.
std::vector<std::string> parse_mount_points(std::string_view mountinfo);

/// What is mounted at `real_path`, which has no links in it, and below.
struct MountsAt {
  bool itself = false;
  std::vector<std::string> entries;  ///< names in it
  std::vector<std::string> deeper;   ///< whole paths
};
MountsAt mounts_at(const std::vector<std::string>& mount_points, const std::string& real_path);

base::Result<std::vector<std::string>> read_mount_points(env::FileSystem& files);

}  // namespace standfast::clone
