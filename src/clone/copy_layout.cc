#include "clone/copy_layout.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "clone/folder_bytes.h"
#include "pg/format/backup_files.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;
using Kind = CopyLayout::Expected::Kind;

namespace {

constexpr std::string_view kWalFolder = "pg_wal";
constexpr std::string_view kTablespaceFolder = "pg_tblspc";
constexpr std::string_view kManifestName = "backup_manifest";
constexpr std::string_view kControlFileAside = ".standfast-new";
/// Of what has no pages: settings, the state of replication origins, maps. The SLRU's segments are longer,
/// but for their last ones, and WAL tells of them.
constexpr std::uint64_t kWholeFileBytes = std::uint64_t{64} << 10U;

Error odd(std::string_view why, std::string_view path) {
  return {ErrorCode::kProtocol, fmt::format("the agent's list has {}: \"{}\"", why, path)};
}

bool lies_in(std::string_view path, std::string_view folder) {
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

bool has_standfast_name(std::string_view path) {
  while (true) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    if (pg::is_standfast_name(path.substr(0, slash))) return true;
    if (slash == path.size()) return false;
    path.remove_prefix(slash + 1);
  }
}

struct Split {
  std::string folder;  ///< "" for the root
  std::string name;
};
Split split(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

/// Goes through the list once.
class Layouter {
 public:
  explicit Layouter(const CopyPlaces& places) : places_(places) {}

  Result<CopyLayout> run(std::span<const agent::FileEntry> entries) {
    add_roots();
    for (const agent::FileEntry& entry : entries) TRY(add(entry));
    TRY(add_links());
    if (!has_control_file_) return Error(ErrorCode::kProtocol, "the agent's list of files has no pg_control");
    return std::move(layout_);
  }

 private:
  using Key = std::pair<std::uint32_t, std::string>;
  struct KeyHash {
    std::size_t operator()(const Key& key) const { return std::hash<std::string>()(key.second) ^ key.first; }
  };

  void add_roots() {
    add_folder({0, ""}, {.place = places_.data_folder});
    CopyLayout::Names& names = layout_.folders.front().names;
    names.emplace(kWalFolder, CopyLayout::Expected{.kind = Kind::kUntouched});
    for (const auto& [name, folder] : places_.entry_folders)
      names.insert_or_assign(name, CopyLayout::Expected{.kind = Kind::kUntouched});
    for (const auto& [oid, place] : places_.tablespaces)
      add_folder({oid, ""}, {.place = place.folder, .is_swept = false});
  }

  void add_folder(Key key, CopyLayout::Folder folder) {
    folder_at_.emplace(std::move(key), layout_.folders.size());
    layout_.folders.push_back(std::move(folder));
  }

  Result<void> check_path(const agent::FileEntry& entry) const {
    const std::string& path = entry.path;
    if (!agent::is_path_beneath(path)) return odd("a path that leads elsewhere", path);
    if (has_standfast_name(path) || path == kManifestName)
      return odd("a name that a copy gives itself", path);
    if (entry.tablespace_oid != 0) {
      if (!places_.tablespaces.contains(entry.tablespace_oid))
        return odd("a tablespace that was not announced", path);
      return base::ok();
    }
    if (entry.kind == agent::EntryKind::kFile && lies_in(path, kWalFolder))
      return odd("a file in pg_wal", path);
    for (const auto& [oid, place] : places_.tablespaces)
      if (lies_in(path, fmt::format("{}/{}", kTablespaceFolder, oid)))
        return odd("something behind a link", path);
    return base::ok();
  }

  std::string place_of(const agent::FileEntry& entry) const {
    if (entry.tablespace_oid != 0)
      return places_.tablespaces.at(entry.tablespace_oid).folder + "/" + entry.path;
    const std::size_t slash = std::min(entry.path.find('/'), entry.path.size());
    const auto elsewhere = places_.entry_folders.find(entry.path.substr(0, slash));
    if (elsewhere != places_.entry_folders.end()) return elsewhere->second + entry.path.substr(slash);
    return places_.data_folder + "/" + entry.path;
  }

  Result<void> add(const agent::FileEntry& entry) {
    TRY(check_path(entry));
    const Split where = split(entry.path);
    const auto above = folder_at_.find(Key(entry.tablespace_oid, where.folder));
    if (above == folder_at_.end()) return odd("something whose folder it has not", entry.path);
    const bool is_file = entry.kind == agent::EntryKind::kFile;
    const CopyLayout::Expected expected{.kind = is_file ? Kind::kFile : Kind::kFolder,
                                        .file = layout_.files.size()};
    CopyLayout::Names& names = layout_.folders[above->second].names;
    const auto [there, is_new] = names.emplace(where.name, expected);
    if (!is_new && (is_file || there->second.kind != Kind::kUntouched))
      return odd("a name twice", entry.path);
    if (is_file) {
      add_file(entry);
      return base::ok();
    }
    Key key(entry.tablespace_oid, entry.path);
    if (folder_at_.contains(key)) return odd("a name twice", entry.path);
    const bool is_wal = entry.tablespace_oid == 0 && lies_in(entry.path, kWalFolder);
    add_folder(std::move(key), {.place = place_of(entry), .is_swept = !is_wal});
    return base::ok();
  }

  void add_file(const agent::FileEntry& entry) {
    const pg::DataRoot root =
        entry.tablespace_oid == 0 ? pg::DataRoot::kDataDirectory : pg::DataRoot::kTablespace;
    const pg::WholeFile whole = pg::whole_file_kind(root, entry.path);
    if (whole == pg::WholeFile::kControlFile) {
      layout_.control_file = layout_.files.size();
      layout_.control_file_place = place_of(entry);
      has_control_file_ = true;
    }
    PlannedFile file;
    file.number = entry.number;
    file.place = place_of(entry);
    if (whole == pg::WholeFile::kControlFile) file.place += kControlFileAside;
    file.manifest_path = entry.tablespace_oid == 0
                             ? entry.path
                             : fmt::format("{}/{}/{}", kTablespaceFolder, entry.tablespace_oid, entry.path);
    file.mode = (static_cast<mode_t>(entry.mode) & places_.modes.file_mask & 0777U) | 0600U;
    file.size_bytes = entry.size_bytes;
    file.modified_unix_seconds = entry.modified_unix_seconds;
    file.relation = pg::parse_relation_path(entry.path);
    file.is_whole = whole != pg::WholeFile::kNo ? entry.size_bytes <= agent::kMaxRangeBytes
                                                : !file.relation && entry.size_bytes <= kWholeFileBytes;
    layout_.files.push_back(std::move(file));
  }

  Result<void> add_links() {
    if (places_.tablespaces.empty()) return base::ok();
    const auto folder = folder_at_.find(Key(0, kTablespaceFolder));
    if (folder == folder_at_.end()) return odd("tablespaces but not their folder", kTablespaceFolder);
    CopyLayout::Folder& links = layout_.folders[folder->second];
    for (const auto& [oid, place] : places_.tablespaces) {
      links.names.emplace(std::to_string(oid), CopyLayout::Expected{.kind = Kind::kLink});
      layout_.links.push_back({.place = fmt::format("{}/{}", links.place, oid), .target = place.link_target});
    }
    return base::ok();
  }

  const CopyPlaces& places_;
  CopyLayout layout_;
  bool has_control_file_ = false;
  std::unordered_map<Key, std::size_t, KeyHash> folder_at_;
};

Result<void> remove_any(env::FileSystem& files, const std::string& place, env::FileKind kind) {
  return kind == env::FileKind::kDirectory ? env::remove_tree(files, place) : files.remove_file(place);
}

Result<void> remove_control_file(env::FileSystem& files, const std::string& place, SyncFiles sync) {
  const std::string folder = env::parent_of(place);
  const auto folder_info = TRY(files.inspect(folder));
  if (!folder_info || folder_info->kind != env::FileKind::kDirectory) return base::ok();
  for (const std::string& one : {place, place + std::string(kControlFileAside)}) {
    if (const auto info = TRY(files.inspect(one))) TRY(remove_any(files, one, info->kind));
  }
  return sync == SyncFiles::kYes ? files.sync_directory(folder) : base::ok();
}

/// What is there under a name that the list has too, or has not (null).
Result<void> settle(env::FileSystem& files, CopyLayout& layout, const CopyLayout::Expected* expected,
                    const std::string& place) {
  const auto info = TRY(files.inspect(place));
  if (!info) return base::ok();
  if (expected == nullptr) return remove_any(files, place, info->kind);
  switch (expected->kind) {
    case Kind::kUntouched:
      return base::ok();
    case Kind::kFolder:
      return info->kind == env::FileKind::kDirectory ? base::ok() : remove_any(files, place, info->kind);
    case Kind::kLink:
      return info->kind == env::FileKind::kSymlink ? base::ok() : remove_any(files, place, info->kind);
    case Kind::kFile:
      break;
  }
  if (info->kind != env::FileKind::kRegular) return remove_any(files, place, info->kind);
  PlannedFile& file = layout.files[expected->file];
  if (info->mode != file.mode) TRY(files.set_mode(place, file.mode));
  file.existing_bytes = info->size_bytes;
  return base::ok();
}

/// What of a folder is not left alone, with what the list has under that name, if it has.
struct Found {
  std::string name;
  const CopyLayout::Expected* expected = nullptr;
};
Result<std::vector<Found>> found_in(env::FileSystem& files, const CopyLayout::Folder& folder) {
  std::vector<Found> all;
  const std::vector<std::string> names = TRY(files.list(folder.place));
  for (const std::string& name : names) {
    if (pg::is_standfast_name(name)) continue;
    const auto found = folder.names.find(name);
    const CopyLayout::Expected* expected = found == folder.names.end() ? nullptr : &found->second;
    if (expected == nullptr && (!folder.is_swept || name == "lost+found")) continue;
    all.push_back({name, expected});
  }
  return all;
}

Result<void> sweep(env::FileSystem& files, CopyLayout& layout, const CopyLayout::Folder& folder) {
  for (const Found& found : TRY(found_in(files, folder)))
    TRY(settle(files, layout, found.expected, folder.place + "/" + found.name));
  return base::ok();
}

Result<FolderGrowth> growth_in(env::FileSystem& files, const CopyLayout& layout,
                               const CopyLayout::Folder& folder) {
  FolderGrowth growth{.folder = folder.place};
  for (const auto& [name, expected] : folder.names)
    if (expected.kind == Kind::kFile) growth.comes += layout.files[expected.file].size_bytes;
  const auto info = TRY(files.inspect(folder.place));
  if (!info || info->kind != env::FileKind::kDirectory) return growth;
  for (const Found& found : TRY(found_in(files, folder))) {
    const std::string place = folder.place + "/" + found.name;
    const bool goes = found.expected == nullptr;
    if (!goes && found.expected->kind != Kind::kFile) continue;
    const std::uint64_t bytes = TRY(bytes_at(files, place));
    const std::uint64_t stays = goes ? 0 : std::min(bytes, layout.files[found.expected->file].size_bytes);
    growth.comes -= stays;
    growth.goes += bytes - stays;
  }
  return growth;
}

Result<void> make_link(env::FileSystem& files, const CopyLayout::Link& link) {
  if (TRY(files.inspect(link.place))) {
    if (TRY(files.read_symlink(link.place)) == link.target) return base::ok();
    TRY(files.remove_file(link.place));
  }
  return files.make_symlink(link.target, link.place);
}

}  // namespace

Result<CopyLayout> lay_out(std::span<const agent::FileEntry> entries, const CopyPlaces& places) {
  return Layouter(places).run(entries);
}

Result<std::vector<FolderGrowth>> growth_of(env::FileSystem& files, const CopyLayout& layout) {
  std::vector<FolderGrowth> all;
  for (const CopyLayout::Folder& folder : layout.folders)
    all.push_back(TRY(growth_in(files, layout, folder)));
  return all;
}

Result<void> prepare(env::FileSystem& files, CopyLayout& layout, const TreeModes& modes, SyncFiles sync) {
  TRY(remove_control_file(files, layout.control_file_place, sync));
  for (const CopyLayout::Folder& folder : layout.folders) {
    const auto info = TRY(files.inspect(folder.place));
    if (!info) {
      TRY(files.make_directory(folder.place, modes.directory));
      continue;
    }
    if (info->mode != modes.directory) TRY(files.set_mode(folder.place, modes.directory));
    TRY(sweep(files, layout, folder));
  }
  for (const CopyLayout::Link& link : layout.links) TRY(make_link(files, link));
  return base::ok();
}

}  // namespace standfast::clone
