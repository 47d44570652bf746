#include "pg/format/backup_files.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>

namespace standfast::pg {
namespace {

constexpr std::array<std::string_view, 8> kLeftOutNames = {
    "postgresql.auto.conf.tmp",
    "current_logfiles.tmp",
    "backup_label",
    "tablespace_map",
    // 12 has no manifest, but a copy that was started as this server can have brought one.
    "backup_manifest",
    "postmaster.pid",
    "postmaster.opts",
    ".DS_Store",
};
constexpr std::array<std::string_view, 2> kLeftOutPrefixes = {"pgsql_tmp", "pg_internal.init"};
constexpr std::string_view kOurName = ".standfast";
/// "pg_hba.conf.standfast-tmp", a folder "x.standfast-old-20260131T120000"
constexpr std::string_view kOurInfix = ".standfast-";

/// What is in them a starting server removes or makes anew; slots are not to be doubled.
constexpr std::array<std::string_view, 7> kEmptiedFolders = {
    "pg_stat_tmp", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_subtrans"};

constexpr std::string_view kTablespacesFolder = "pg_tblspc";
constexpr std::size_t kLongestNumber = 10;  // OIDCHARS

bool is_left_out_by_name(std::string_view name) {
  return std::find(kLeftOutNames.begin(), kLeftOutNames.end(), name) != kLeftOutNames.end() ||
         std::any_of(kLeftOutPrefixes.begin(), kLeftOutPrefixes.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); }) ||
         is_standfast_name(name);
}

std::string_view take_digits(std::string_view& rest) {
  const std::size_t count = std::min(rest.find_first_not_of("0123456789"), rest.size());
  const std::string_view digits = rest.substr(0, count);
  rest.remove_prefix(count);
  return digits;
}

bool is_number(std::string_view text) {
  return !take_digits(text).empty() && text.empty();
}

struct ForkName {
  std::string_view relation;
  std::string_view fork;  ///< "" for the main one
};

/// "16384", "16384_fsm", "16384_init", "16384_vm.1": parse_filename_for_nontemp_relation() in reinit.c.
std::optional<ForkName> parse_fork_name(std::string_view name) {
  ForkName found;
  found.relation = take_digits(name);
  if (found.relation.empty() || found.relation.size() > kLongestNumber) return std::nullopt;
  if (name.starts_with('_')) {
    name.remove_prefix(1);
    found.fork = name.substr(0, name.find('.'));
    if (found.fork != "fsm" && found.fork != "vm" && found.fork != "init") return std::nullopt;
    name.remove_prefix(found.fork.size());
  }
  if (name.empty()) return found;
  if (!name.starts_with('.') || !is_number(name.substr(1))) return std::nullopt;
  return found;
}

/// "t3_16384", with a fork and a segment or not: looks_like_temp_rel_name() in fd.c.
bool is_temporary_relation(std::string_view name) {
  if (!name.starts_with('t')) return false;
  name.remove_prefix(1);
  if (take_digits(name).empty() || !name.starts_with('_')) return false;
  name.remove_prefix(1);
  // What comes next is a relation's name, but that its number may be longer.
  std::string_view rest = name;
  if (take_digits(rest).empty()) return false;
  return parse_fork_name("1" + std::string(rest)).has_value();
}

/// "a/b/c" -> "a/b" and "c"
struct SplitPath {
  std::string_view parent;
  std::string_view last;
};
SplitPath split(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

/// pg_tblspc/16385, where a tablespace lies in the data directory itself.
bool is_tablespace_in_place(std::string_view path) {
  const SplitPath parts = split(path);
  return parts.parent == kTablespacesFolder && is_tablespace_name(parts.last);
}

/// The folder of a tablespace: all that is below the version's folder in it is this cluster's, nothing else.
bool is_tablespace(const DataFolder& folder) {
  if (folder.root == DataRoot::kTablespace) return folder.path.empty();
  return is_tablespace_in_place(folder.path);
}

bool is_database(const DataFolder& folder, const BackupLayout& layout) {
  const SplitPath parts = split(folder.path);
  if (!is_number(parts.last)) return false;
  if (folder.root == DataRoot::kTablespace) return parts.parent == layout.version_folder;
  const SplitPath above = split(parts.parent);
  return parts.parent == "base" ||
         (above.last == layout.version_folder && is_tablespace_in_place(above.parent));
}

bool is_unlogged_or_temporary(const DataFolder& folder, std::string_view name) {
  const auto fork = parse_fork_name(name);
  if (!fork) return is_temporary_relation(name);
  return fork->fork != "init" && folder.with_init_fork.contains(fork->relation);
}

bool is_emptied(const DataFolder& folder, std::string_view name, const BackupLayout& layout) {
  if (std::find(kEmptiedFolders.begin(), kEmptiedFolders.end(), name) != kEmptiedFolders.end()) return true;
  if (folder.root != DataRoot::kDataDirectory) return false;
  if (folder.path.empty() && name == "pg_wal") return true;
  if (layout.stats_temp_folder.empty()) return false;
  const SplitPath stats = split(layout.stats_temp_folder);
  return stats.parent == folder.path && stats.last == name;
}

}  // namespace

std::string tablespace_version_folder(int major, std::uint32_t catalog_version) {
  return fmt::format("PG_{}_{}", major, catalog_version);
}

RelationNumbers relations_with_init_fork(std::span<const std::string> names_in_folder) {
  RelationNumbers relations;
  for (const std::string& name : names_in_folder) {
    // The server asks for this very name; a later segment alone would not do.
    const auto fork = parse_fork_name(name);
    if (fork && fork->fork == "init" && name.ends_with("_init")) relations.emplace(fork->relation);
  }
  return relations;
}

BackupUse backup_use(const DataFolder& folder, std::string_view name, DataEntryKind kind,
                     const BackupLayout& layout) {
  if (is_left_out_by_name(name)) return BackupUse::kLeaveOut;
  if (is_database(folder, layout) && is_unlogged_or_temporary(folder, name)) return BackupUse::kLeaveOut;

  const bool is_folder_or_link = kind == DataEntryKind::kFolder || kind == DataEntryKind::kLink;
  if (is_folder_or_link && is_emptied(folder, name, layout)) return BackupUse::kFolderOnly;

  if (folder.root == DataRoot::kDataDirectory && folder.path == kTablespacesFolder) {
    // The links are told of apart, as the tablespaces that they are.
    const bool is_in_place = kind == DataEntryKind::kFolder && is_tablespace_name(name);
    return is_in_place ? BackupUse::kCopy : BackupUse::kLeaveOut;
  }
  if (is_tablespace(folder) && name != layout.version_folder) return BackupUse::kLeaveOut;
  return kind == DataEntryKind::kFile || kind == DataEntryKind::kFolder ? BackupUse::kCopy
                                                                        : BackupUse::kSpecial;
}

std::vector<std::string> folders_of_pg_wal(Version version) {
  std::vector<std::string> folders = {"pg_wal/archive_status"};
  if (version.has_wal_summaries()) folders.emplace_back("pg_wal/summaries");
  return folders;
}

bool is_standfast_name(std::string_view name) {
  return name == kOurName || name.find(kOurInfix) != std::string_view::npos;
}

bool is_tablespace_name(std::string_view name) {
  return is_number(name) && name.size() <= kLongestNumber;
}

WholeFile whole_file_kind(DataRoot root, std::string_view path) {
  if (root == DataRoot::kDataDirectory && path == kControlFilePath) return WholeFile::kControlFile;
  return split(path).last == "pg_filenode.map" ? WholeFile::kRelationMap : WholeFile::kNo;
}

}  // namespace standfast::pg
