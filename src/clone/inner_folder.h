// FOLDER/.standfast, which holds all that a clone puts into a folder that stays (places.h).
//
// Threading: one thread. Fails: kTargetRefused when the name is taken, kPermission, kDiskFull, kIo.
#pragma once

#include <string>

#include "base/result.h"
#include "env/file_system.h"

namespace standfast::clone {

/// Made when it is missing; it may be there, with what an earlier run has kept in it.
base::Result<void> make_inner_folder(env::FileSystem& files, const std::string& folder);
/// Gone with the last thing in it.
void remove_inner_folder(env::FileSystem& files, const std::string& folder);

}  // namespace standfast::clone
