#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "env/beneath.h"
#include "env/file_system.h"
#include "env/posix/descriptor.h"
#include "env/posix/failure.h"
#include "env/posix/posix_file.h"

namespace standfast::env {
namespace {

using base::error_from_errno;
using base::Result;

FileInfo info_of(const struct stat& status) {
  FileInfo info;
  switch (status.st_mode & static_cast<mode_t>(S_IFMT)) {
    case S_IFREG:
      info.kind = FileKind::kRegular;
      break;
    case S_IFDIR:
      info.kind = FileKind::kDirectory;
      break;
    case S_IFLNK:
      info.kind = FileKind::kSymlink;
      break;
    default:
      info.kind = FileKind::kOther;
  }
  info.size_bytes = static_cast<std::uint64_t>(status.st_size);
  info.owner = status.st_uid;
  info.group = status.st_gid;
  info.mode = status.st_mode & 07777U;
  info.device = status.st_dev;
  info.inode = status.st_ino;
  info.modified_unix_seconds = status.st_mtim.tv_sec;
  return info;
}

/// A path as the system calls take it: a name, and the descriptor of the directory that it begins from.
struct Place {
  int directory = AT_FDCWD;
  std::string name;
  std::optional<Descriptor> opened = {};  ///< `directory`, where it was opened for this place
  int folder_flags = 0;                   ///< for opening what has the name as a folder
};

/// No link that has the name is followed; fchmodat(2) would.
bool set_mode_of(const Place& place, mode_t mode) {
  const Descriptor held(openat(place.directory, place.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (held.get() < 0 || fstat(held.get(), &status) != 0) return false;
  if (S_ISLNK(status.st_mode)) {
    errno = ELOOP;
    return false;
  }
  return chmod(("/proc/self/fd/" + std::to_string(held.get())).c_str(), mode) == 0;
}

class PosixFileSystem : public FileSystem {
 public:
  Result<std::unique_ptr<File>> create(const std::string& path, mode_t mode,
                                       OnExisting on_existing) override {
    const int existing = on_existing == OnExisting::kFail ? O_EXCL : O_TRUNC;
    const Place place = TRY(locate(path));
    const int fd = openat(place.directory, place.name.c_str(),
                          O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | existing, mode);
    if (fd < 0) return failure("create", path);
    // The umask may have taken bits away that the caller asked for.
    if (fchmod(fd, mode) != 0) {
      auto error = failure("set the permissions of", path);
      ::close(fd);
      return error;
    }
    return make_posix_file(fd, path);
  }

  Result<std::unique_ptr<File>> open_existing(const std::string& path) override { return open(path, O_RDWR); }
  Result<std::unique_ptr<File>> open_for_reading(const std::string& path) override {
    return open(path, O_RDONLY);
  }

  Result<std::unique_ptr<File>> open_for_direct_reading(const std::string& path) override {
    const Place place = TRY(locate(path));
    const int fd = openat(place.directory, place.name.c_str(),
                          O_RDONLY | O_DIRECT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == EINVAL) return std::unique_ptr<File>();
    if (fd < 0) return failure("open", path);
    return make_direct_file(fd, path);
  }

  Result<std::unique_ptr<File>> open_for_direct_writing(const std::string& path) override {
    const Place place = TRY(locate(path));
    const int fd = openat(place.directory, place.name.c_str(),
                          O_WRONLY | O_DIRECT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == EINVAL) return std::unique_ptr<File>();
    if (fd < 0) return failure("open", path);
    return make_posix_file(fd, path);
  }

  Result<void> make_directory(const std::string& path, mode_t mode) override {
    const Place place = TRY(locate(path));
    if (mkdirat(place.directory, place.name.c_str(), mode) != 0) return failure("create directory", path);
    if (!set_mode_of(place, mode)) return failure("set the permissions of", path);
    return base::ok();
  }

  Result<void> make_symlink(const std::string& target, const std::string& path) override {
    const Place place = TRY(locate(path));
    if (symlinkat(target.c_str(), place.directory, place.name.c_str()) != 0)
      return failure("create symbolic link", path);
    return base::ok();
  }

  Result<std::string> read_symlink(const std::string& path) override {
    const Place place = TRY(locate(path));
    std::string target(PATH_MAX, '\0');
    const ssize_t length = readlinkat(place.directory, place.name.c_str(), target.data(), target.size());
    if (length < 0) return failure("read symbolic link", path);
    target.resize(static_cast<std::size_t>(length));
    return target;
  }

  Result<void> rename_no_replace(const std::string& from, const std::string& to) override {
    const Place source = TRY(locate(from));
    const Place goal = TRY(locate(to));
    if (renameat2(source.directory, source.name.c_str(), goal.directory, goal.name.c_str(),
                  RENAME_NOREPLACE) == 0)
      return base::ok();
    // Some file systems (NFS, older ZFS) do not know the flag. What comes in between the two calls is lost to
    // a race there; a directory that is not empty is never replaced.
    if (errno == EINVAL || errno == ENOSYS) {
      struct stat status {};
      if (fstatat(goal.directory, goal.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
      } else if (errno == ENOENT &&
                 renameat(source.directory, source.name.c_str(), goal.directory, goal.name.c_str()) == 0) {
        return base::ok();
      }
    }
    return rename_failure(from, to);
  }

  Result<void> rename_over(const std::string& from, const std::string& to) override {
    const Place source = TRY(locate(from));
    const Place goal = TRY(locate(to));
    if (renameat(source.directory, source.name.c_str(), goal.directory, goal.name.c_str()) == 0)
      return base::ok();
    return rename_failure(from, to);
  }

  Result<void> set_mode(const std::string& path, mode_t mode) override {
    const Place place = TRY(locate(path));
    if (!set_mode_of(place, mode)) return failure("set the permissions of", path);
    return base::ok();
  }

  Result<void> set_owner(const std::string& path, uid_t owner, gid_t group) override {
    const Place place = TRY(locate(path));
    if (fchownat(place.directory, place.name.c_str(), owner, group, AT_SYMLINK_NOFOLLOW) != 0)
      return failure("set the owner of", path);
    return base::ok();
  }

  Result<void> sync_directory(const std::string& path) override {
    const Place place = TRY(locate(path));
    const Descriptor directory(
        openat(place.directory, place.name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | place.folder_flags));
    if (directory.get() < 0) return failure("open directory", path);
    // Some file systems cannot fsync a directory and say so; PostgreSQL (fd.c, fsync_fname_ext) lets that
    // pass as well.
    if (fsync(directory.get()) != 0 && errno != EBADF && errno != EINVAL)
      return failure("fsync directory", path);
    return base::ok();
  }

  Result<void> remove_file(const std::string& path) override {
    const Place place = TRY(locate(path));
    if (unlinkat(place.directory, place.name.c_str(), 0) != 0) return failure("remove", path);
    return base::ok();
  }
  Result<void> remove_directory(const std::string& path) override {
    const Place place = TRY(locate(path));
    if (unlinkat(place.directory, place.name.c_str(), AT_REMOVEDIR) != 0)
      return failure("remove directory", path);
    return base::ok();
  }

  Result<std::optional<FileInfo>> inspect(const std::string& path) override {
    return inspect_at(path, AT_SYMLINK_NOFOLLOW);
  }
  Result<std::optional<FileInfo>> inspect_following(const std::string& path) override {
    return inspect_at(path, 0);
  }

  Result<std::vector<std::string>> list(const std::string& path) override {
    const Place place = TRY(locate(path));
    const int fd =
        openat(place.directory, place.name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | place.folder_flags);
    DIR* directory = fd < 0 ? nullptr : fdopendir(fd);
    if (directory == nullptr) {
      auto error = failure("list directory", path);
      if (fd >= 0) ::close(fd);
      return error;
    }
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(directory)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
      errno = 0;
    }
    const int error_number = errno;
    closedir(directory);
    if (error_number != 0) return error_from_errno(error_number, "could not list directory \"" + path + "\"");
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<DiskSpace> space(const std::string& path) override {
    struct statvfs status {};
    if (statvfs(path.c_str(), &status) != 0) return failure("read the free space of", path);
    return DiskSpace{static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize,
                     static_cast<std::uint64_t>(status.f_blocks) * status.f_frsize};
  }

  Result<std::string> real_path(const std::string& path) override {
    char* resolved = realpath(path.c_str(), nullptr);
    if (resolved == nullptr) return failure("resolve", path);
    std::string result = resolved;
    std::free(resolved);  // NOLINT: realpath() allocates with malloc
    return result;
  }

 protected:
  virtual Result<Place> locate(const std::string& path) {
    Place place;
    place.name = path;
    return place;
  }

 private:
  Result<std::unique_ptr<File>> open(const std::string& path, int flags) {
    const Place place = TRY(locate(path));
    const int fd = openat(place.directory, place.name.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return failure("open", path);
    return make_posix_file(fd, path);
  }

  Result<std::optional<FileInfo>> inspect_at(const std::string& path, int flags) {
    auto place = locate(path);
    if (!place) {
      const int reason = place.error().os_errno;
      if (reason == ENOENT || reason == ENOTDIR) return std::optional<FileInfo>();
      return std::move(place).error();
    }
    struct stat status {};
    if (fstatat(place->directory, place->name.c_str(), &status, flags) == 0)
      return std::optional(info_of(status));
    if (errno == ENOENT || errno == ENOTDIR) return std::optional<FileInfo>();
    return failure("look at", path);
  }

  static base::Error rename_failure(const std::string& from, const std::string& to) {
    const int error_number = errno;
    return error_from_errno(error_number, "could not rename \"" + from + "\" to \"" + to + "\"");
  }
};

/// Opens a folder of a folder, with no link on the way, and none that leads out.
int open_beneath(int directory, const std::string& relative) {
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  while (true) {
    const long fd = syscall(SYS_openat2, directory, relative.c_str(), &how, sizeof how);
    if (fd >= 0 || (errno != EINTR && errno != EAGAIN)) return static_cast<int>(fd);
  }
}

/// Where the kernel has no openat2 (before Linux 5.6), or a container's filter forbids it: name by name.
int walk_beneath(int directory, std::string_view relative) {
  Descriptor at(dup(directory));
  while (at.get() >= 0 && !relative.empty()) {
    const std::string_view name = relative.substr(0, relative.find('/'));
    relative.remove_prefix(std::min(name.size() + 1, relative.size()));
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      errno = EXDEV;
      return -1;
    }
    Descriptor next(
        openat(at.get(), std::string(name).c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (next.get() < 0) return -1;
    at = std::move(next);
  }
  return at.get() < 0 ? -1 : dup(at.get());
}

/// As it is written: what ".." makes of it is refused later.
bool begins_with(const std::string& path, const std::string& folder) {
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

class BeneathFileSystem final : public PosixFileSystem {
 public:
  struct Root {
    std::string path;
    Descriptor directory;
  };
  explicit BeneathFileSystem(std::vector<Root> roots) : roots_(std::move(roots)) {}

 private:
  Result<Place> locate(const std::string& path) override {
    const Root* root = nullptr;
    for (const Root& candidate : roots_) {
      const bool is_deeper = root == nullptr || candidate.path.size() > root->path.size();
      if (begins_with(path, candidate.path) && is_deeper) root = &candidate;
    }
    if (root == nullptr) return PosixFileSystem::locate(path);
    Place place;
    place.directory = root->directory.get();
    place.folder_flags = O_NOFOLLOW;
    std::string relative = path.substr(std::min(root->path.size() + 1, path.size()));
    while (relative.ends_with('/')) relative.pop_back();
    const std::size_t slash = relative.rfind('/');
    place.name = slash == std::string::npos ? relative : relative.substr(slash + 1);
    if (place.name.empty()) place.name.assign(1, '.');
    if (place.name == "..") {
      errno = EXDEV;
      return failure("stay below a folder with", path);
    }
    if (slash == std::string::npos) return place;
    relative.resize(slash);
    int fd = open_beneath(root->directory.get(), relative);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) fd = walk_beneath(root->directory.get(), relative);
    if (fd < 0) return failure("reach", path);
    place.opened.emplace(fd);
    place.directory = fd;
    return place;
  }

  std::vector<Root> roots_;
};

}  // namespace

FileSystem& posix_file_system() {
  static PosixFileSystem files;
  return files;
}

Result<std::unique_ptr<FileSystem>> file_system_beneath(std::span<const std::string> folders) {
  std::vector<BeneathFileSystem::Root> roots;
  for (const std::string& folder : folders) {
    CHECK(folder.starts_with('/') && folder.size() > 1 && !folder.ends_with('/'));
    Descriptor directory(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (directory.get() < 0) return failure("open directory", folder);
    roots.push_back({folder, std::move(directory)});
  }
  return std::unique_ptr<FileSystem>(std::make_unique<BeneathFileSystem>(std::move(roots)));
}

}  // namespace standfast::env
