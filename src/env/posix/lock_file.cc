#include "env/lock_file.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "env/posix/descriptor.h"
#include "env/posix/failure.h"
#include "env/posix/flock.h"

namespace standfast::env {
namespace {

using base::Result;

constexpr std::string_view kMark = "standfast lock: ";
constexpr std::size_t kMaxBytes = 512;
/// Each is lost to a holder that has just removed the file.
constexpr int kMaxTries = 1000;

bool still_has_name(int fd, const std::string& path) {
  struct stat held {};
  struct stat named {};
  return fstat(fd, &held) == 0 && lstat(path.c_str(), &named) == 0 && held.st_dev == named.st_dev &&
         held.st_ino == named.st_ino;
}

std::string content_of(int fd) {
  std::string text(kMaxBytes, '\0');
  const ssize_t count = pread(fd, text.data(), text.size(), 0);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  return text;
}

/// Or the beginning of one, which is all that a full disk took.
bool is_note(std::string_view text) {
  return text.starts_with(kMark) || kMark.starts_with(text);
}

/// As it is shown to the user: one line, whatever is in the file.
std::string note_of(std::string text) {
  text.resize(std::min(text.size(), text.find('\n')));
  if (!text.starts_with(kMark)) return "";
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c > '~'; }, '?');
  return text.substr(kMark.size());
}

/// Before anything is written into it: not what somebody else put there under that name.
Result<void> check_is_ours(int fd, const std::string& path) {
  struct stat status {};
  if (fstat(fd, &status) != 0) return failure("look at", path);
  // Without a name it was removed by who held it, which is noticed after the lock.
  if (S_ISREG(status.st_mode) && status.st_uid == geteuid() && status.st_nlink <= 1 &&
      is_note(content_of(fd)))
    return base::ok();
  return base::Error(base::ErrorCode::kPermission, "\"" + path + "\" is not a lock of this user's",
                     "Find out who put it there, and remove it by hand.");
}

}  // namespace

Result<std::optional<LockFile>> LockFile::take(const std::string& path, std::string_view note) {
  for (int i = 0; i < kMaxTries; ++i) {
    Descriptor file(
        ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600));
    if (file.get() < 0) return failure("make", path);
    TRY(check_is_ours(file.get(), path));
    if (take_flock(file.get(), LockKind::kExclusive) == LockTaken::kHeldByAnother)
      return std::optional<LockFile>();
    if (!still_has_name(file.get(), path)) continue;
    // It only tells others; the lock is good without it.
    const std::string text = std::string(kMark).append(note).append("\n");
    if (ftruncate(file.get(), 0) == 0)
      static_cast<void>(pwrite(file.get(), text.data(), std::min(text.size(), kMaxBytes), 0) < 0);
    return std::optional(LockFile(path, file.release()));
  }
  return std::optional<LockFile>();
}

void LockFile::release() {
  if (fd_ < 0) return;
  if (still_has_name(fd_, path_)) ::unlink(path_.c_str());
  ::close(std::exchange(fd_, -1));
}

Result<std::optional<std::string>> holder_of_lock(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.get() < 0 && errno == ENOENT) return std::optional<std::string>();
  if (file.get() < 0) return failure("open", path);
  TRY(check_is_ours(file.get(), path));
  if (take_flock(file.get(), LockKind::kShared) == LockTaken::kYes) return std::optional<std::string>();
  return std::optional(note_of(content_of(file.get())));
}

}  // namespace standfast::env
