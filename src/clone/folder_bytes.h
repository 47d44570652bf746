// How much lies in a folder that this program made.
//
// Threading: any. Ownership: borrows the FileSystem. Fails: kIo, kPermission.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "env/file_system.h"

namespace standfast::clone {

/// The length of a file, or of all below a folder; links are not followed. A file of a copy may have its
/// length before it has its content.
base::Result<std::uint64_t> bytes_at(env::FileSystem& files, const std::string& path);
base::Result<std::uint64_t> bytes_below(env::FileSystem& files, const std::string& folder);

}  // namespace standfast::clone
