// Files by their descriptors: through the page cache, and past it.
//
// Threading, ownership and errors are File's (env/file_system.h); the descriptor is taken over.
#pragma once

#include <memory>
#include <string>

#include "env/file_system.h"

namespace standfast::env {

std::unique_ptr<File> make_posix_file(int fd, const std::string& path);
/// For reading what is on the device, of a descriptor that was opened with O_DIRECT. Null where the file
/// system reads by its cache all the same, or cannot read so.
std::unique_ptr<File> make_direct_file(int fd, const std::string& path);

}  // namespace standfast::env
