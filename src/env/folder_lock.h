// A lock on a folder (flock), held as long as the value lives and the process does: nothing is left behind
// by a run that was killed.
//
// Threading: one thread. Ownership: owns a file descriptor, which children do not inherit. Fails with kInUse
// when another process holds it, kIo and kPermission when the folder cannot be opened. A file system that has
// no such locks keeps nobody out.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"
#include "env/stop_event.h"

namespace standfast::env {

class FolderLock {
 public:
  /// What is said when another process has it.
  struct Held {
    std::string message;
    std::string hint = "Wait until it is done, then run this again.";
  };
  /// While a cluster is made in it.
  static base::Result<FolderLock> take(const std::string& folder);
  static base::Result<FolderLock> take(const std::string& folder, const Held& held);
  /// Tries again until the deadline.
  static base::Result<FolderLock> take(const std::string& folder, const Held& held, const Wait& wait);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FolderLock& operator=(FolderLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace standfast::env
