#include "env/folder_lock.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace standfast::env {

using base::Error;
using base::ErrorCode;
using base::Result;

Result<FolderLock> FolderLock::take(const std::string& folder) {
  return take(folder, "another run makes a cluster in \"" + folder + "\" just now");
}

Result<FolderLock> FolderLock::take(const std::string& folder, const std::string& held) {
  FolderLock lock(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (lock.fd_ < 0) return base::error_from_errno(errno, "could not open directory \"" + folder + "\"");
  if (flock(lock.fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    return Error(ErrorCode::kInUse, held, "Wait until it is done, then run this again.");
  }
  return lock;
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace standfast::env
