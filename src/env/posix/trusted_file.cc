#include "env/trusted_file.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "env/posix/descriptor.h"

namespace standfast::env {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::size_t kChunkBytes = 64U << 10U;

bool is_trusted(const struct stat& status, const TrustedOwner& owner) {
  if (!S_ISREG(status.st_mode)) return false;
  if (status.st_uid == owner.user) return true;
  // What of root's he may not read himself is not read for him.
  const bool is_his_to_read =
      (status.st_mode & static_cast<mode_t>(S_IROTH)) != 0 ||
      ((status.st_mode & static_cast<mode_t>(S_IRGRP)) != 0 && status.st_gid == owner.group);
  return status.st_uid == 0 && is_his_to_read;
}

Result<std::string> read_all(int fd, const std::string& path, std::uint64_t max_bytes) {
  std::string content;
  while (true) {
    const std::size_t before = content.size();
    content.resize(before + kChunkBytes);
    const ssize_t count = read(fd, content.data() + before, kChunkBytes);
    const int read_errno = errno;
    content.resize(before + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (count < 0 && read_errno == EINTR) continue;
    if (count < 0) return base::error_from_errno(read_errno, "could not read \"" + path + "\"");
    if (count == 0) return content;
    if (content.size() > max_bytes) {
      return Error(ErrorCode::kIo,
                   "file \"" + path + "\" is larger than " + std::to_string(max_bytes) + " bytes");
    }
  }
}

}  // namespace

Result<std::string> read_trusted_file(const std::string& path, const TrustedOwner& owner,
                                      std::uint64_t max_bytes) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (file.get() < 0) return base::error_from_errno(errno, "could not open \"" + path + "\"");
  struct stat status {};
  if (fstat(file.get(), &status) != 0)
    return base::error_from_errno(errno, "could not inspect \"" + path + "\"");
  if (is_trusted(status, owner)) return read_all(file.get(), path, max_bytes);
  return Error(ErrorCode::kPermission,
               "root does not read \"" + path + "\": it is not a file of the server's owner",
               "Give it to the owner of the file that names it, or run this as that user.");
}

}  // namespace standfast::env
