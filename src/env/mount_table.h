// Where file systems are mounted, by /proc/self/mountinfo: bind mounts of the same device too, which no
// comparison of device numbers tells.
//
// Threading: any; pure but read_mount_table(). Fails: kIo, kPermission; a line that is not understood is
// passed over.
// Follows: proc(5).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"

namespace standfast::env {

struct Mount {
  std::string mount_point;  ///< absolute
  std::string file_system;  ///< "ext4", "tmpfs"
  bool is_read_only = false;
};

/// In the order of the table: of two on one mount point the later one is in sight.
std::vector<Mount> parse_mount_table(std::string_view text);
base::Result<std::vector<Mount>> read_mount_table(FileSystem& files);

/// The mount that a path, its links resolved, lies on; null when the table is empty.
const Mount* mount_of(const std::vector<Mount>& mounts, std::string_view real_path);

/// What is mounted at `real_path`, which has no links in it, and below.
struct MountsAt {
  bool itself = false;
  std::vector<std::string> entries;  ///< names in it
  std::vector<std::string> deeper;   ///< whole paths
};
MountsAt mounts_at(const std::vector<Mount>& mounts, const std::string& real_path);

}  // namespace standfast::env
