// For tests: a file system in memory whose power can be cut. It has a page cache, which every call reads and
// writes, and a device, which alone outlives the cut.
//
// What outlives a cut: sync() and sync_data() write a file's dirty sectors and its size. A read from a File
// that was opened for direct reading writes dirty sectors back too, which may fail, and then reads the
// device; but only a sync flushes, so until then the cut can take those sectors. sync_directory() makes the
// names of one directory durable, nothing else does, not even a sync of the file: creating, renaming and
// removing are pending operations of the directories that they change, in order, and a rename between two
// directories is one operation of both. Permissions and owners are durable at once; times are not kept.
//
// Threading: any number of threads. Ownership: outlives its Files. Memory: grows with the bytes that are not
// zero. Fails with: as the POSIX file system does, by errno.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <random>

#include "env/file_system.h"

namespace standfast::env::testing {

class SimulatedDisk final : public FileSystem {
 public:
  static constexpr std::uint64_t kSectorBytes = 512;
  static constexpr std::uint64_t kPageBytes = 4096;          ///< room is taken by pages
  static constexpr std::uint64_t kMaxFileBytes = 1U << 30U;  ///< EFBIG above

  SimulatedDisk();
  ~SimulatedDisk() override;
  SimulatedDisk(const SimulatedDisk&) = delete;
  SimulatedDisk& operator=(const SimulatedDisk&) = delete;

  /// Keeps what was synced and a random part of the rest: each dirty sector or not; a size between the least
  /// and the greatest since the last sync; of each directory's pending operations the first few. Open Files
  /// fail from now on with EBADF, and the cache is what the device holds.
  void power_cut(std::mt19937_64& random);
  /// The process dies: open Files fail from now on, cache and device stay as they are.
  void crash_process();
  /// As under memory pressure: clean sectors are read from the device again, also those that it never got.
  void drop_clean_cache();

  /// The n-th sync of file data from now on (1: the next one) fails with EIO, and as on Linux the sectors
  /// count as clean afterwards: the cache has the new bytes, the device the old ones, and the next sync
  /// succeeds.
  void fail_data_sync(std::uint64_t nth);
  /// Until now: calls of sync() and sync_data(), and direct reads that had something to write back.
  std::uint64_t data_syncs() const;
  /// Once pages of so many bytes are taken, what needs another one fails with ENOSPC; what fits before is
  /// written.
  void set_available_bytes(std::uint64_t bytes);
  enum class DirectAccess { kServed, kRefused };
  void set_direct_access(DirectAccess direct_access);

  base::Result<std::unique_ptr<File>> create(const std::string& path, mode_t mode,
                                             OnExisting on_existing) override;
  base::Result<std::unique_ptr<File>> open_existing(const std::string& path) override;
  base::Result<std::unique_ptr<File>> open_for_reading(const std::string& path) override;
  base::Result<std::unique_ptr<File>> open_for_direct_reading(const std::string& path) override;
  base::Result<std::unique_ptr<File>> open_for_direct_writing(const std::string& path) override;
  base::Result<void> make_directory(const std::string& path, mode_t mode) override;
  base::Result<void> make_symlink(const std::string& target, const std::string& path) override;
  base::Result<std::string> read_symlink(const std::string& path) override;
  base::Result<void> rename_no_replace(const std::string& from, const std::string& to) override;
  base::Result<void> rename_over(const std::string& from, const std::string& to) override;
  base::Result<void> set_mode(const std::string& path, mode_t mode) override;
  base::Result<void> set_owner(const std::string& path, uid_t owner, gid_t group) override;
  base::Result<void> sync_directory(const std::string& path) override;
  base::Result<void> remove_file(const std::string& path) override;
  base::Result<void> remove_directory(const std::string& path) override;
  base::Result<std::optional<FileInfo>> inspect(const std::string& path) override;
  base::Result<std::optional<FileInfo>> inspect_following(const std::string& path) override;
  base::Result<std::vector<std::string>> list(const std::string& path) override;
  base::Result<DiskSpace> space(const std::string& path) override;
  base::Result<std::string> real_path(const std::string& path) override;

 private:
  struct Inode;
  class OpenFile;
  using Names = std::map<std::string, std::shared_ptr<Inode>>;
  enum class Access { kRead, kReadAndWrite, kDirect, kDirectWrite };
  enum class LastLink { kFollow, kKeep };

  /// A name in a directory, and what it names, if there is such a thing.
  struct Place {
    std::shared_ptr<Inode> directory;
    std::string name;
    std::shared_ptr<Inode> found;
    std::string path;  ///< absolute, no link on the way
  };
  /// A name of a directory and what it names from then on; null: nothing.
  struct Change {
    std::shared_ptr<Inode> directory;
    std::string name;
    std::shared_ptr<Inode> inode;
  };
  using Operation = std::vector<Change>;
  /// For a directory, by the number of its inode: operations before this index of pending_ come to the
  /// device.
  using Bounds = std::map<std::uint64_t, std::size_t>;

  base::Result<Place> locate(const std::string& path, LastLink last_link, const char* action);
  base::Result<Place> locate_existing(const std::string& path, LastLink last_link, const char* action);
  std::shared_ptr<Inode> new_inode(FileKind kind, mode_t mode);
  base::Result<std::unique_ptr<File>> open(const std::string& path, Access access);
  base::Result<std::optional<FileInfo>> inspect(const std::string& path, LastLink last_link);
  base::Result<void> make_name(const std::string& path, const char* action,
                               const std::function<std::shared_ptr<Inode>()>& make);
  base::Result<void> rename(const std::string& from, const std::string& to, OnExisting on_existing);
  base::Result<void> remove(const std::string& path, FileKind kind, const char* action);
  void change_names(Operation operation);
  void make_names_durable(Bounds bounds);
  base::Result<void> begin_data_sync(Inode& inode, const std::string& path);
  base::Result<void> sync(Inode& inode, const std::string& path);
  base::Result<void> write_to(Inode& inode, const std::string& path, std::uint64_t offset, base::Bytes bytes);
  void resize(Inode& inode, std::uint64_t size_bytes);
  void forget_unnamed();

  mutable std::mutex mutex_;
  std::shared_ptr<Inode> root_;
  std::map<std::uint64_t, std::weak_ptr<Inode>> inodes_;
  std::vector<Operation> pending_;
  std::uint64_t next_inode_ = 1;
  std::uint64_t generation_ = 0;  ///< Files of an older one are dead
  std::uint64_t data_syncs_ = 0;
  std::optional<std::uint64_t> failing_sync_;
  std::uint64_t available_bytes_ = std::uint64_t{1} << 40U;
  std::shared_ptr<std::uint64_t> taken_bytes_ = std::make_shared<std::uint64_t>(0);
  DirectAccess direct_access_ = DirectAccess::kServed;
};

}  // namespace standfast::env::testing
