// Folders that names from elsewhere are written into: below them every file is reached from the folder's own
// descriptor, and no symbolic link on the way is followed, whoever puts one there and whenever (openat2(2),
// RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS; name by name where the kernel does not have it). Nor is one at the
// end, but by the calls whose names say that they follow: inspect_following() and real_path().
//
// Threading: as FileSystem. Ownership: holds the folders' descriptors. A folder that is renamed while it is
// held is written to under its new name.
// Fails: kIo ("could not reach") for a path that a link or ".." is in; kIo, kPermission as FileSystem.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "env/file_system.h"

namespace standfast::env {

/// `folders`: absolute, no links, there already. Paths outside of them are as those of posix_file_system().
base::Result<std::unique_ptr<FileSystem>> file_system_beneath(std::span<const std::string> folders);

}  // namespace standfast::env
