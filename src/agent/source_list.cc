#include "agent/source_list.h"

#include <cerrno>
#include <optional>

#include <fmt/format.h>

namespace standfast::agent {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using env::FileInfo;
using env::FileKind;
using pg::BackupUse;
using pg::DataEntryKind;
using pg::DataRoot;

DataEntryKind kind_of(FileKind kind) {
  switch (kind) {
    case FileKind::kRegular:
      return DataEntryKind::kFile;
    case FileKind::kDirectory:
      return DataEntryKind::kFolder;
    case FileKind::kSymlink:
      return DataEntryKind::kLink;
    case FileKind::kOther:
      break;
  }
  return DataEntryKind::kOther;
}

std::string joined(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + "/" + name;
}

class Lister {
 public:
  Lister(env::FileSystem& files, const SourceRules& rules) : files_(files), rules_(rules) {}

  Result<void> list(const SourceRoot& root) {
    root_ = &root;
    const auto info = TRY(files_.inspect(root.path));
    if (!info) return base::ok();
    root_mode_ = info->mode;
    waiting_.assign(1, "");
    while (!waiting_.empty()) {
      const std::string folder = std::move(waiting_.back());
      waiting_.pop_back();
      TRY(list_folder(folder));
    }
    return base::ok();
  }

  Result<SourceList> finish() && {
    if (control_file_) list_.entries.push_back(*std::move(control_file_));
    std::uint32_t number = 0;
    for (FileEntry& entry : list_.entries) entry.number = number++;
    return std::move(list_);
  }

 private:
  Result<void> list_folder(const std::string& path) {
    const std::string full = path.empty() ? root_->path : root_->path + "/" + path;
    auto names = files_.list(full);
    if (!names && names.error().os_errno == ENOENT) return base::ok();
    if (!names) return std::move(names).error();
    pg::DataFolder folder;
    folder.root = root_->tablespace_oid == 0 ? DataRoot::kDataDirectory : DataRoot::kTablespace;
    folder.path = path;
    folder.with_init_fork = pg::relations_with_init_fork(*names);
    for (const std::string& name : *names) {
      const auto info = TRY(files_.inspect(full + "/" + name));
      if (info) TRY(take(folder, name, *info));
    }
    return base::ok();
  }

  Result<void> take(const pg::DataFolder& folder, const std::string& name, const FileInfo& info) {
    const std::string path = joined(folder.path, name);
    switch (use_of(folder, name, info)) {
      case BackupUse::kLeaveOut:
        return base::ok();
      case BackupUse::kSpecial:
        ++list_.special_count;
        if (list_.special.size() < kMaxNamedSpecial) list_.special.push_back(root_->path + "/" + path);
        return base::ok();
      case BackupUse::kFolderOnly:
        return add_empty_folder(path, info);
      case BackupUse::kCopy:
        if (info.kind == FileKind::kDirectory) waiting_.push_back(path);
        return add(path, info);
    }
    return base::ok();
  }

  BackupUse use_of(const pg::DataFolder& folder, const std::string& name, const FileInfo& info) const {
    const BackupUse use = pg::backup_use(folder, name, kind_of(info.kind), rules_.layout);
    if (use != BackupUse::kCopy || info.kind != FileKind::kDirectory) return use;
    const auto known = rules_.folders.find(identity_of(info));
    return known == rules_.folders.end() ? use : known->second;
  }

  Result<void> add_empty_folder(const std::string& path, const FileInfo& info) {
    FileInfo folder = info;
    if (info.kind == FileKind::kSymlink) {
      // A copy has a folder in its place, such as the server makes.
      folder.kind = FileKind::kDirectory;
      folder.mode = root_mode_;
    }
    TRY(add(path, folder));
    if (path != "pg_wal") return base::ok();
    for (const std::string& inner : pg::folders_of_pg_wal(rules_.version)) TRY(add(inner, folder));
    return base::ok();
  }

  Result<void> add(const std::string& path, const FileInfo& info) {
    const std::size_t count = list_.entries.size() + (control_file_ ? 1 : 0);
    if (count >= rules_.max_entries) {
      return Error(ErrorCode::kPrecondition,
                   fmt::format("\"{}\" has more than {} files and folders", root_->path, rules_.max_entries),
                   "Copy over the replication protocol (--from protocol), which makes no list.");
    }
    if (path.size() > kMaxPathBytes)
      return Error(ErrorCode::kIo, fmt::format("a path of {} bytes in \"{}\" is too long to be copied",
                                               path.size(), root_->path));
    FileEntry entry;
    entry.kind = info.kind == FileKind::kDirectory ? EntryKind::kFolder : EntryKind::kFile;
    entry.tablespace_oid = root_->tablespace_oid;
    entry.mode = info.mode;
    entry.size_bytes = info.kind == FileKind::kDirectory ? 0 : info.size_bytes;
    entry.modified_unix_seconds = info.modified_unix_seconds;
    entry.path = path;
    if (root_->tablespace_oid == 0 && path == pg::kControlFilePath) {
      control_file_ = std::move(entry);
    } else {
      list_.entries.push_back(std::move(entry));
    }
    return base::ok();
  }

  env::FileSystem& files_;
  const SourceRules& rules_;
  const SourceRoot* root_ = nullptr;
  mode_t root_mode_ = 0;
  std::vector<std::string> waiting_;  ///< folders that are yet to be looked into
  SourceList list_;
  std::optional<FileEntry> control_file_;
};

}  // namespace

Result<SourceList> list_source(env::FileSystem& files, const std::vector<SourceRoot>& roots,
                               const SourceRules& rules) {
  Lister lister(files, rules);
  for (const SourceRoot& root : roots) TRY(lister.list(root));
  return std::move(lister).finish();
}

}  // namespace standfast::agent
