// The folders that a clone makes and takes away again (places.h): FOLDER/.standfast, which holds all that it
// puts into a folder that stays, and the staging folders with what a server has sent.
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
/// A staging folder with all in it, reached from its own descriptor: names that a server chose, and links
/// that came to be meanwhile, lead to nothing else. Nothing there is well.
base::Result<void> remove_staging(env::FileSystem& files, const std::string& folder);

}  // namespace standfast::clone
