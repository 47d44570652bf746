#include "clone/tree_writer.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/number.h"

namespace standfast::clone {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// Writing back begins while a large file is still arriving, so that its fsync has little left to do.
constexpr std::uint64_t kWritebackBytes = std::uint64_t{8} << 20U;
constexpr std::string_view kTablespacePrefix = "pg_tblspc/";

Error odd(std::string_view what, const std::string& path) {
  return {ErrorCode::kProtocol, fmt::format("the backup holds {} \"{}\"", what, path)};
}

}  // namespace

TreeWriter::TreeWriter(env::FileSystem& files, SyncPool* pool, Options options)
    : files_(files), pool_(pool), options_(std::move(options)) {
  folders_ = {options_.data_folder, options_.wal_folder, options_.wal_folder + "/archive_status"};
  for (const auto& [name, folder] : options_.entry_folders) folders_.insert(folder);
}

Result<void> TreeWriter::begin_archive(const pg::BackupTablespace& tablespace) {
  in_data_folder_ = !tablespace.oid;
  if (tablespace.oid) {
    const auto place = options_.tablespaces.find(*tablespace.oid);
    if (place == options_.tablespaces.end())
      return odd("a tablespace that was not announced,", tablespace.location);
    root_ = place->second.folder;
    manifest_prefix_ = fmt::format("pg_tblspc/{}/", *tablespace.oid);
    if (env::is_same_or_inside(root_, options_.data_folder)) {
      // An in-place tablespace comes before the folders above it.
      TRY(make_folder(env::parent_of(root_)));
      TRY(make_folder(root_));
    }
    folders_.insert(root_);
  } else {
    root_ = options_.data_folder;
    manifest_prefix_.clear();
  }
  links_.clear();
  tar_.emplace(static_cast<pg::TarHandler&>(*this));
  return base::ok();
}

Result<void> TreeWriter::archive_bytes(base::Bytes bytes) {
  return tar_->push(bytes);
}

Result<void> TreeWriter::end_archive() {
  TRY(tar_->finish());
  tar_.reset();
  return base::ok();
}

std::string TreeWriter::place_of(const std::string& entry_path) const {
  if (in_data_folder_) {
    const std::size_t slash = std::min(entry_path.find('/'), entry_path.size());
    const auto elsewhere = options_.entry_folders.find(entry_path.substr(0, slash));
    if (elsewhere != options_.entry_folders.end()) return elsewhere->second + entry_path.substr(slash);
  }
  return root_ + "/" + entry_path;
}

bool TreeWriter::has_folder_elsewhere(const std::string& entry_path) const {
  return in_data_folder_ && options_.entry_folders.contains(entry_path);
}

// A link of pg_tblspc leads to the final place of a tablespace, where another server's files may still be.
bool TreeWriter::lies_behind_link(const std::string& entry_path) const {
  for (std::size_t slash = entry_path.find('/'); slash != std::string::npos;
       slash = entry_path.find('/', slash + 1)) {
    if (links_.contains(entry_path.substr(0, slash))) return true;
  }
  return false;
}

Result<void> TreeWriter::begin_entry(const pg::TarEntry& entry) {
  if (lies_behind_link(entry.path)) return odd("something behind a link,", entry.path);
  switch (entry.kind) {
    case pg::TarEntryKind::kDirectory:
      // Where the WAL lies in a folder of its own, there is a link of that name already.
      if (has_folder_elsewhere(entry.path)) return base::ok();
      return make_folder(place_of(entry.path));
    case pg::TarEntryKind::kSymlink:
      return make_link(entry);
    case pg::TarEntryKind::kFile:
      break;
  }
  // A server can be made to send what the copy itself writes only by someone who changed its files.
  if (in_data_folder_ && entry.path == "backup_manifest")
    return odd("a file of a copy's own name,", entry.path);
  const mode_t mode = (static_cast<mode_t>(entry.mode) & options_.modes.file_mask & 0777U) | 0600U;
  Open next;
  next.file = TRY(files_.create(place_of(entry.path), mode, env::OnExisting::kFail));
  next.manifest_path = manifest_prefix_ + entry.path;
  open_ = std::move(next);
  return base::ok();
}

Result<void> TreeWriter::make_folder(const std::string& path) {
  if (folders_.contains(path)) return base::ok();
  TRY(files_.make_directory(path, options_.modes.directory));
  folders_.insert(path);
  return base::ok();
}

// The server tells where the link points on its own disks; here it points to this copy's place.
Result<void> TreeWriter::make_link(const pg::TarEntry& entry) {
  const std::string_view path = entry.path;
  const std::string_view digits =
      path.starts_with(kTablespacePrefix) ? path.substr(kTablespacePrefix.size()) : std::string_view();
  const auto oid = base::parse_number<std::uint32_t>(digits);
  const auto place = oid ? options_.tablespaces.find(*oid) : options_.tablespaces.end();
  if (!in_data_folder_ || place == options_.tablespaces.end()) return odd("an unexpected link", entry.path);
  TRY(files_.make_symlink(place->second.link_target, place_of(entry.path)));
  links_.insert(entry.path);
  return base::ok();
}

Result<void> TreeWriter::entry_bytes(base::Bytes bytes) {
  TRY(open_->file->write_at(open_->size_bytes, bytes));
  open_->crc.update(bytes);
  open_->size_bytes += bytes.size();
  if (pool_ != nullptr && open_->size_bytes - open_->writeback_from >= kWritebackBytes) {
    open_->file->start_writeback(open_->writeback_from, open_->size_bytes - open_->writeback_from);
    open_->writeback_from = open_->size_bytes;
  }
  return base::ok();
}

Result<void> TreeWriter::end_entry() {
  if (!open_) return base::ok();
  file_bytes_ += open_->size_bytes;
  received_.push_back({std::move(open_->manifest_path), open_->size_bytes, open_->crc.value()});
  return hand_over();
}

Result<void> TreeWriter::hand_over() {
  std::unique_ptr<env::File> file = std::move(open_->file);
  const std::uint64_t from = open_->writeback_from;
  const std::uint64_t size = open_->size_bytes;
  open_.reset();
  if (pool_ == nullptr) return file->close();
  if (size > from) file->start_writeback(from, size - from);
  return pool_->add(std::move(file));
}

Result<void> TreeWriter::begin_manifest() {
  Open next;
  next.file = TRY(files_.create(options_.data_folder + "/backup_manifest", options_.modes.file(),
                                env::OnExisting::kFail));
  open_ = std::move(next);
  return base::ok();
}

Result<void> TreeWriter::manifest_bytes(base::Bytes bytes) {
  TRY(open_->file->write_at(open_->size_bytes, bytes));
  open_->size_bytes += bytes.size();
  return base::ok();
}

Result<void> TreeWriter::finish() {
  return open_ ? hand_over() : base::ok();
}

}  // namespace standfast::clone
