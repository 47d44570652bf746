// A file that is locked (flock) for as long as the value lives and the process does: the kernel lets go of it
// when the process ends, however it ends, and it keeps out processes of other containers too, whose numbers
// mean nothing here.
//
// The holder removes the file when it is done. Who waited at the open file meanwhile notices: after the lock
// it looks whether the file still has its name, and begins anew if not. What a killed process left is taken
// over. Only a regular file of this user's with one name, empty or with a note in it, is one of these.
//
// Threading: one thread. Ownership: owns a file descriptor, which children do not inherit.
// Fails: kPermission for a file that is not one of these; kIo, kPermission, kDiskFull when it cannot be made.
// A file system that has no such locks keeps nobody out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace standfast::env {

class LockFile {
 public:
  /// No value while another process holds it. `note`: one line that tells others who does.
  static base::Result<std::optional<LockFile>> take(const std::string& path, std::string_view note);
  ~LockFile() { release(); }
  LockFile(LockFile&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  LockFile& operator=(LockFile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(fd_, other.fd_);
    return *this;
  }
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;

 private:
  LockFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  void release();

  std::string path_;
  int fd_;
};

/// The note of the process that holds it, empty when it cannot be read; no value when nobody does. Makes
/// nothing.
base::Result<std::optional<std::string>> holder_of_lock(const std::string& path);

}  // namespace standfast::env
