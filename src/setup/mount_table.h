// What is mounted where, as /proc/self/mountinfo tells it.
//
// Threading: pure functions on values. Fails: never; a line that is not understood is passed over.
// Follows: proc(5).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace standfast::setup {

inline constexpr std::size_t kMaxMountTableBytes = std::size_t{4} << 20U;

struct Mount {
  std::string mount_point;
  std::string file_system;  ///< "ext4", "tmpfs"
  bool is_read_only = false;
};

/// In the order of the table: of two on one mount point the later one is in sight.
std::vector<Mount> parse_mount_table(std::string_view text);
/// The mount that a path, its links resolved, lies on; null when the table is empty.
const Mount* mount_of(const std::vector<Mount>& mounts, std::string_view real_path);

}  // namespace standfast::setup
