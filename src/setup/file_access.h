// How a configuration file that an administrator keeps can get new content, found out before anything is
// changed: by a rename, which is whole or not at all; in place, where a rename is impossible (the file is a
// mount point, or its folder is not writable); or not at all.
//
// Threading: pure questions to the operating system. Fails with kIo when the file is gone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "env/file_system.h"

namespace standfast::setup {

enum class WriteWay : std::uint8_t { kRename, kInPlace };

struct FileAccess {
  WriteWay way = WriteWay::kRename;
  /// Where a copy of what it held can lie: beside it, else in the folder that was offered.
  std::string copy_directory;
  /// Why this process cannot change the file and keep its owner and group, as a clause; none if it can.
  std::optional<std::string> obstacle = {};
};

/// Of the file itself, no link to it.
base::Result<FileAccess> access_to_file(env::FileSystem& files, const std::string& path,
                                        const std::string& fallback_directory);
/// Whether something is mounted at just this path (proc(5), mountinfo).
base::Result<bool> is_mount_point(env::FileSystem& files, const std::string& path);

// The parts, for tests.

/// Whether a text of /proc/self/mountinfo has a mount at `path`.
bool mountinfo_names(std::string_view mountinfo, std::string_view path);

}  // namespace standfast::setup
