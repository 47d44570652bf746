#include "env/folder_lock.h"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

#include "env/posix/flock.h"

namespace standfast::env {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {
constexpr base::Milliseconds kBetweenTries{20};
}  // namespace

Result<FolderLock> FolderLock::take(const std::string& folder) {
  return take(folder, Held{"another run makes a cluster in \"" + folder + "\" just now"});
}

Result<FolderLock> FolderLock::take(const std::string& folder, const Held& held) {
  FolderLock lock(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (lock.fd_ < 0) return base::error_from_errno(errno, "could not open directory \"" + folder + "\"");
  if (take_flock(lock.fd_, LockKind::kExclusive) == LockTaken::kHeldByAnother) {
    return Error(ErrorCode::kInUse, held.message, held.hint);
  }
  return lock;
}

Result<FolderLock> FolderLock::take(const std::string& folder, const Held& held, const Wait& wait) {
  while (true) {
    auto lock = take(folder, held);
    if (lock || lock.error().code != ErrorCode::kInUse || wait.deadline.passed() || wait.stopped())
      return lock;
    static_cast<void>(wait_for(-1, 0, Wait::for_at_most(kBetweenTries, wait.stop)));
  }
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace standfast::env
