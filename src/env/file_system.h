// Disks. Everything that Standfast writes goes through a FileSystem, so that a test can fill the disk, or
// lose every byte that was not synced (storage/file/fd.c and common/file_utils.c are PostgreSQL's own).
//
// Paths are absolute or relative to the working directory. No call follows a symbolic link in its last
// component unless it says so. Durable means: file fsynced, then its directory.
//
// Threading: a FileSystem may be used by several threads; a File by one at a time, but that sync_data() may
// run in one thread while another one writes to the same File: what write_at() had taken before sync_data()
// was called is durable when that succeeds, of what came meanwhile nothing is said. close() waits for
// neither. Ownership: a File closes itself; close() is there to learn of an error. Fails with: kIo,
// kPermission, kDiskFull (base::error_from_errno), the path in the message.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "base/bytes.h"
#include "base/result.h"

namespace standfast::env {

enum class FileKind { kRegular, kDirectory, kSymlink, kOther };

struct FileInfo {
  FileKind kind = FileKind::kOther;
  std::uint64_t size_bytes = 0;
  uid_t owner = 0;
  gid_t group = 0;
  mode_t mode = 0;  ///< permission bits only
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t modified_unix_seconds = 0;
};

struct DiskSpace {
  std::uint64_t available_bytes = 0;  ///< to an unprivileged user
  std::uint64_t total_bytes = 0;
};

class File {
 public:
  virtual ~File() = default;
  virtual base::Result<void> write_at(std::uint64_t offset, base::Bytes bytes) = 0;  ///< all of them
  virtual base::Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) = 0;
  virtual base::Result<void> truncate(std::uint64_t size_bytes) = 0;
  /// Asks the kernel to begin writing a range back; a hint, so that a later sync() has less to wait for.
  virtual void start_writeback(std::uint64_t offset, std::uint64_t length_bytes) = 0;
  /// Tells the kernel that what is read next is read in order and not again: it reads ahead further, and what
  /// is read so does not take the place of what others use in the page cache. A hint.
  virtual void expect_single_pass() {}
  /// Asks the kernel to begin reading a range, so that a later read_at() has less to wait for. A hint.
  virtual void start_reading(std::uint64_t /*offset*/, std::uint64_t /*length_bytes*/) {}
  virtual base::Result<void> sync_data() = 0;  ///< fdatasync
  virtual base::Result<void> sync() = 0;       ///< fsync
  virtual base::Result<void> close() = 0;
};

constexpr std::size_t kDirectBlockBytes = 4096;

enum class OnExisting { kFail, kReplace };

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual base::Result<std::unique_ptr<File>> create(const std::string& path, mode_t mode,
                                                     OnExisting on_existing) = 0;
  virtual base::Result<std::unique_ptr<File>> open_existing(const std::string& path) = 0;  ///< read and write
  virtual base::Result<std::unique_ptr<File>> open_for_reading(const std::string& path) = 0;
  /// For reading what is on the device, not what is in the page cache (O_DIRECT): after a failed fsync the
  /// cache may hold bytes that the device never got, as clean pages. Any offset and length may be asked for.
  /// Null where the file system refuses or says that it would read by its cache, and for a file system that
  /// cannot know.
  virtual base::Result<std::unique_ptr<File>> open_for_direct_reading(const std::string& path);
  /// For writing past the page cache (O_DIRECT), which takes half the time where much is written. Offset,
  /// length and address of what is written are multiples of kDirectBlockBytes; a device that wants more says
  /// EINVAL. What another File of the same file wrote or reads by the cache stays coherent. Null where the
  /// file system refuses.
  virtual base::Result<std::unique_ptr<File>> open_for_direct_writing(const std::string& path);
  virtual base::Result<void> make_directory(const std::string& path, mode_t mode) = 0;
  virtual base::Result<void> make_symlink(const std::string& target, const std::string& path) = 0;
  virtual base::Result<std::string> read_symlink(const std::string& path) = 0;
  /// Never replaces anything: fails when `to` exists (renameat2 RENAME_NOREPLACE).
  virtual base::Result<void> rename_no_replace(const std::string& from, const std::string& to) = 0;
  virtual base::Result<void> rename_over(const std::string& from, const std::string& to) = 0;
  virtual base::Result<void> set_mode(const std::string& path, mode_t mode) = 0;
  virtual base::Result<void> set_owner(const std::string& path, uid_t owner, gid_t group) = 0;
  virtual base::Result<void> sync_directory(const std::string& path) = 0;
  virtual base::Result<void> remove_file(const std::string& path) = 0;
  virtual base::Result<void> remove_directory(const std::string& path) = 0;
  virtual base::Result<std::optional<FileInfo>> inspect(
      const std::string& path) = 0;  ///< nothing there: no value
  virtual base::Result<std::optional<FileInfo>> inspect_following(const std::string& path) = 0;
  virtual base::Result<std::vector<std::string>> list(const std::string& path) = 0;  ///< names, sorted
  virtual base::Result<DiskSpace> space(const std::string& path) = 0;
  /// The path with every link resolved.
  virtual base::Result<std::string> real_path(const std::string& path) = 0;
};

FileSystem& posix_file_system();

// What is made of these calls; works on any FileSystem.

/// The whole file, at most `max_bytes` (else kIo: a file that cannot be ours).
base::Result<std::string> read_whole_file(FileSystem& files, const std::string& path,
                                          std::uint64_t max_bytes);
constexpr std::uint64_t kMaxTextFileBytes = 16U << 20U;

struct WriteOptions {
  mode_t mode = 0600;
  std::optional<uid_t> owner = {};  ///< left as created when absent
  std::optional<gid_t> group = {};
};
/// Replaces or creates `path` so that after a crash there is the old or the new content, never a mix: writes
/// `path`.standfast-tmp, fsyncs it, renames it, fsyncs the directory.
base::Result<void> write_file_durably(FileSystem& files, const std::string& path, std::string_view content,
                                      const WriteOptions& options);
/// mkdir -p; only the directories it makes get `mode`, each made durable in its parent.
base::Result<void> make_directories(FileSystem& files, const std::string& path, mode_t mode);
/// Removes a folder and all below it, following no link. Only for what Standfast itself created.
base::Result<void> remove_tree(FileSystem& files, const std::string& path);
base::Result<bool> is_empty_directory(FileSystem& files, const std::string& path);

std::string parent_of(std::string_view path);     ///< "/a/b/" -> "/a"
std::string base_name_of(std::string_view path);  ///< "/a/b/" -> "b"
/// An absolute path without "." and ".." and doubled slashes, links not resolved.
std::string absolute_path(std::string_view path);
bool is_same_or_inside(std::string_view path, std::string_view folder);

}  // namespace standfast::env
