// A file with a secret in it is only used when nobody but its owner can read it.
//
// Threading: any thread. Fails: kIo where there is none, kPermission where others may read it.
#pragma once

#include <string>

#include "base/result.h"
#include "env/file_system.h"

namespace standfast::witness {

base::Result<void> check_private_file(env::FileSystem& files, const std::string& path);

}  // namespace standfast::witness
