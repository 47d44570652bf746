#include "env/simulated_disk.h"

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "env/simulated_inode.h"

namespace standfast::env::testing {
namespace {

using base::Result;
using Lock = std::lock_guard<std::mutex>;

}  // namespace

class SimulatedDisk::OpenFile final : public File {
 public:
  OpenFile(SimulatedDisk& disk, std::shared_ptr<Inode> inode, std::string path, Access access)
      : disk_(disk),
        inode_(std::move(inode)),
        path_(std::move(path)),
        access_(access),
        generation_(disk.generation_) {}

  Result<void> write_at(std::uint64_t offset, base::Bytes bytes) override {
    const Lock lock(disk_.mutex_);
    const bool is_direct = access_ == Access::kDirectWrite;
    if (!is_alive() || (access_ != Access::kReadAndWrite && !is_direct))
      return failure(EBADF, "write to", path_);
    const auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
    if (is_direct && (offset | bytes.size() | address) % kDirectBlockBytes != 0)
      return failure(EINVAL, "write to", path_);
    return disk_.write_to(*inode_, path_, offset, bytes);
  }

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) override {
    const Lock lock(disk_.mutex_);
    if (!is_alive() || access_ == Access::kDirectWrite) return failure(EBADF, "read", path_);
    if (access_ == Access::kDirect && !inode_->dirty_sectors.empty())
      TRY(disk_.begin_data_sync(*inode_, path_));
    if (offset >= inode_->size) return std::size_t{0};
    into = into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), inode_->size - offset)));
    if (access_ != Access::kDirect) {
      inode_->cache.read(offset, into);
      return into.size();
    }
    inode_->device.read(offset, into);
    const std::uint64_t end = offset + into.size();
    const auto& dirty = inode_->dirty_sectors;
    for (auto sector = dirty.lower_bound(offset / kSectorBytes);
         sector != dirty.end() && *sector * kSectorBytes < end; ++sector) {
      const std::uint64_t from = std::max(offset, *sector * kSectorBytes);
      const std::uint64_t to = std::min(end, (*sector + 1) * kSectorBytes);
      inode_->cache.read(
          from, into.subspan(static_cast<std::size_t>(from - offset), static_cast<std::size_t>(to - from)));
    }
    return into.size();
  }

  Result<void> truncate(std::uint64_t size_bytes) override {
    const Lock lock(disk_.mutex_);
    if (!is_alive() || access_ != Access::kReadAndWrite) return failure(EBADF, "change the size of", path_);
    if (size_bytes > kMaxFileBytes) return failure(EFBIG, "change the size of", path_);
    disk_.resize(*inode_, size_bytes);
    return base::ok();
  }

  void start_writeback(std::uint64_t /*offset*/, std::uint64_t /*length_bytes*/) override {
    // A dirty sector may be on the device at any time; a hint changes nothing.
  }

  Result<void> sync_data() override { return sync(); }
  Result<void> sync() override {
    const Lock lock(disk_.mutex_);
    if (!is_alive()) return failure(EBADF, "fsync", path_);
    return disk_.sync(*inode_, path_);
  }

  Result<void> close() override {
    const Lock lock(disk_.mutex_);
    if (is_closed_) return base::ok();
    const bool was_alive = is_alive();
    is_closed_ = true;
    if (!was_alive) return failure(EBADF, "close", path_);
    return base::ok();
  }

 private:
  bool is_alive() const { return !is_closed_ && generation_ == disk_.generation_; }

  SimulatedDisk& disk_;
  std::shared_ptr<Inode> inode_;
  std::string path_;
  Access access_;
  std::uint64_t generation_;
  bool is_closed_ = false;
};

SimulatedDisk::SimulatedDisk() {
  root_ = new_inode(FileKind::kDirectory, 0755);
}

SimulatedDisk::~SimulatedDisk() {
  // Directories that were moved may hold each other, the one in the cache, the other on the device.
  pending_.clear();
  for (const auto& [number, weak] : inodes_) {
    if (const auto inode = weak.lock()) {
      const Names names = std::move(inode->names);
      const Names durable_names = std::move(inode->durable_names);
    }
  }
}

void SimulatedDisk::power_cut(std::mt19937_64& random) {
  const Lock lock(mutex_);
  ++generation_;
  std::map<std::uint64_t, std::vector<std::size_t>> of_directory;
  for (std::size_t index = 0; index < pending_.size(); ++index)
    for (const Change& change : pending_[index]) {
      auto& operations = of_directory[change.directory->info.inode];
      if (operations.empty() || operations.back() != index) operations.push_back(index);
    }
  Bounds bounds;
  for (const auto& [directory, operations] : of_directory) {
    const std::size_t kept = static_cast<std::size_t>(pick(random, operations.size() + 1));
    bounds[directory] = kept == 0 ? 0 : operations[kept - 1] + 1;
  }
  make_names_durable(std::move(bounds));
  pending_.clear();
  for (const auto& [number, weak] : inodes_)
    if (const auto inode = weak.lock()) inode->cut_power(random);
  forget_unnamed();
}

void SimulatedDisk::crash_process() {
  const Lock lock(mutex_);
  ++generation_;
}

void SimulatedDisk::drop_clean_cache() {
  const Lock lock(mutex_);
  for (const auto& [number, weak] : inodes_) {
    const auto inode = weak.lock();
    if (!inode) continue;
    SparseBytes content = inode->device;
    for (const std::uint64_t sector : inode->dirty_sectors) content.copy_sector(inode->cache, sector);
    inode->cache = std::move(content);
  }
}

void SimulatedDisk::fail_data_sync(std::uint64_t nth) {
  const Lock lock(mutex_);
  CHECK(nth > 0);
  failing_sync_ = data_syncs_ + nth;
}

std::uint64_t SimulatedDisk::data_syncs() const {
  const Lock lock(mutex_);
  return data_syncs_;
}

void SimulatedDisk::set_available_bytes(std::uint64_t bytes) {
  const Lock lock(mutex_);
  available_bytes_ = *taken_bytes_ + bytes;
}

void SimulatedDisk::set_direct_access(DirectAccess direct_access) {
  const Lock lock(mutex_);
  direct_access_ = direct_access;
}

/// Counts one, and fails if it is the one that shall fail.
Result<void> SimulatedDisk::begin_data_sync(Inode& inode, const std::string& path) {
  if (++data_syncs_ != failing_sync_) return base::ok();
  failing_sync_.reset();
  inode.dirty_sectors.clear();
  return failure(EIO, "fsync", path);
}

Result<void> SimulatedDisk::sync(Inode& inode, const std::string& path) {
  TRY(begin_data_sync(inode, path));
  for (const std::uint64_t sector : inode.dirty_sectors) inode.device.copy_sector(inode.cache, sector);
  inode.dirty_sectors.clear();
  inode.device.zero_from(inode.size);
  inode.size_is_durable();
  return base::ok();
}

Result<void> SimulatedDisk::write_to(Inode& inode, const std::string& path, std::uint64_t offset,
                                     base::Bytes bytes) {
  if (offset > kMaxFileBytes || bytes.size() > kMaxFileBytes - offset)
    return failure(EFBIG, "write to", path);
  while (!bytes.empty()) {
    const std::uint64_t page = offset / kPageBytes;
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), kPageBytes - offset % kPageBytes));
    if (!inode.taken_pages.contains(page)) {
      if (*taken_bytes_ + kPageBytes > available_bytes_) return failure(ENOSPC, "write to", path);
      inode.taken_pages.insert(page);
      *taken_bytes_ += kPageBytes;
    }
    inode.cache.write(offset, bytes.first(count));
    for (std::uint64_t sector = offset / kSectorBytes; sector * kSectorBytes < offset + count; ++sector)
      inode.dirty_sectors.insert(sector);
    offset += count;
    bytes = bytes.subspan(count);
    inode.size = std::max(inode.size, offset);
    inode.greatest_size = std::max(inode.greatest_size, inode.size);
  }
  return base::ok();
}

void SimulatedDisk::resize(Inode& inode, std::uint64_t size_bytes) {
  for (std::uint64_t sector = size_bytes / kSectorBytes; sector * kSectorBytes < inode.size; ++sector)
    inode.dirty_sectors.insert(sector);
  inode.size = size_bytes;
  inode.cache.zero_from(size_bytes);
  inode.least_size = std::min(inode.least_size, size_bytes);
  inode.greatest_size = std::max(inode.greatest_size, size_bytes);
  inode.give_pages_back();
}

std::shared_ptr<SimulatedDisk::Inode> SimulatedDisk::new_inode(FileKind kind, mode_t mode) {
  forget_unnamed();
  auto inode = std::make_shared<Inode>(taken_bytes_);
  inode->info.kind = kind;
  inode->info.mode = mode & 07777U;
  inode->info.device = 1;
  inode->info.inode = next_inode_++;
  inodes_[inode->info.inode] = inode;
  return inode;
}

void SimulatedDisk::forget_unnamed() {
  std::erase_if(inodes_, [](const auto& entry) { return entry.second.expired(); });
}

Result<std::unique_ptr<File>> SimulatedDisk::create(const std::string& path, mode_t mode,
                                                    OnExisting on_existing) {
  const Lock lock(mutex_);
  constexpr auto kAction = "create";
  const Place place = TRY(locate(path, LastLink::kKeep, kAction));
  std::shared_ptr<Inode> inode = place.found;
  if (inode) {
    if (on_existing == OnExisting::kFail) return failure(EEXIST, kAction, path);
    if (inode->info.kind == FileKind::kDirectory) return failure(EISDIR, kAction, path);
    if (inode->info.kind == FileKind::kSymlink) return failure(ELOOP, kAction, path);
    resize(*inode, 0);
    inode->info.mode = mode & 07777U;
  } else {
    inode = new_inode(FileKind::kRegular, mode);
    change_names({{place.directory, place.name, inode}});
  }
  return std::unique_ptr<File>(std::make_unique<OpenFile>(*this, inode, path, Access::kReadAndWrite));
}

Result<std::unique_ptr<File>> SimulatedDisk::open(const std::string& path, Access access) {
  const Place place = TRY(locate_existing(path, LastLink::kKeep, "open"));
  if (place.found->info.kind == FileKind::kDirectory) return failure(EISDIR, "open", path);
  if (place.found->info.kind == FileKind::kSymlink) return failure(ELOOP, "open", path);
  return std::unique_ptr<File>(std::make_unique<OpenFile>(*this, place.found, path, access));
}

Result<std::unique_ptr<File>> SimulatedDisk::open_existing(const std::string& path) {
  const Lock lock(mutex_);
  return open(path, Access::kReadAndWrite);
}
Result<std::unique_ptr<File>> SimulatedDisk::open_for_reading(const std::string& path) {
  const Lock lock(mutex_);
  return open(path, Access::kRead);
}
Result<std::unique_ptr<File>> SimulatedDisk::open_for_direct_reading(const std::string& path) {
  const Lock lock(mutex_);
  auto file = TRY(open(path, Access::kDirect));
  if (direct_access_ == DirectAccess::kRefused) return std::unique_ptr<File>();
  return file;
}

/// What is written is the cache's all the same: less is sure of it so than of a real one.
Result<std::unique_ptr<File>> SimulatedDisk::open_for_direct_writing(const std::string& path) {
  const Lock lock(mutex_);
  auto file = TRY(open(path, Access::kDirectWrite));
  if (direct_access_ == DirectAccess::kRefused) return std::unique_ptr<File>();
  return file;
}

}  // namespace standfast::env::testing
