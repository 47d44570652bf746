// The one use of flock(2): LockFile's and FolderLock's. A lock is the open file's, goes with it, and is kept
// from other processes, of other containers too.
//
// Threading: any. Never fails: a file system that has no such locks keeps nobody out.
#pragma once

#include <cerrno>
#include <cstdint>

#include <sys/file.h>

namespace standfast::env {

enum class LockKind : std::uint8_t { kExclusive, kShared };
enum class LockTaken : std::uint8_t { kYes, kHeldByAnother };

/// Does not wait.
inline LockTaken take_flock(int fd, LockKind kind) {
  while (flock(fd, (kind == LockKind::kExclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return LockTaken::kHeldByAnother;
    if (errno != EINTR) break;
  }
  return LockTaken::kYes;
}

}  // namespace standfast::env
