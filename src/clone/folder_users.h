// Which servers keep files in a folder outside their data directory. A copy of a data directory that was made
// by cp has links that lead to the original's own tablespaces and WAL: what is in those is not the copy's.
//
// Threading: one thread. Nothing is changed here. Only processes that this user may look at are seen, which
// are those whose files are his; what cannot be read is passed over, so nothing fails.
#pragma once

#include <optional>
#include <string>

#include <sys/types.h>

#include "env/file_system.h"

namespace standfast::clone {

struct FolderUser {
  pid_t process = 0;
  std::string data_directory;  ///< as its host, or its container, calls it
};
/// A running server, of any container whose processes are seen here, with a tablespace or its WAL in
/// `folder`. One that runs in `own_directory` does not count.
std::optional<FolderUser> server_that_uses(env::FileSystem& files, const std::string& folder,
                                           const std::string& own_directory,
                                           const std::string& proc = "/proc");

}  // namespace standfast::clone
