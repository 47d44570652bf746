// Keeps a second run out of a folder while a cluster is made in it.
//
// Threading: one thread. Ownership: owns its descriptor. Gone with the process, so that nothing is left
// behind. Fails with kInUse, and as opening a folder does.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"

namespace standfast::setup {

class FolderLock {
 public:
  static base::Result<FolderLock> take(const std::string& folder);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  FolderLock& operator=(FolderLock&&) = delete;

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace standfast::setup
