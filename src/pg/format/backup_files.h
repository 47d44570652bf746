// Which entries of a data directory, and of its tablespaces, a base backup has, as sendDir() in
// backup/basebackup.c decides (replication/basebackup.c until 14); the majors 12 to 18 differ only where it
// is said. Names that Standfast itself gives in a data directory are left out as well.
//
// What is left out by its name alone is so at any depth, as there. A file is looked at by the folder that it
// lies in, because of unlogged relations: of those only the init fork is copied, and whether there is one the
// names beside it tell.
//
// Threading: pure functions on values. Fails: nothing does.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pg/format/versions.h"

namespace standfast::pg {

enum class BackupUse : std::uint8_t {
  kCopy,
  kFolderOnly,  ///< the folder is made, what is in it is not copied
  kLeaveOut,
  kSpecial,  ///< a link, a socket, ...: left out, which the server warns of; it may have been meant
};

enum class DataEntryKind : std::uint8_t { kFile, kFolder, kLink, kOther };
enum class DataRoot : std::uint8_t { kDataDirectory, kTablespace };

/// What of a cluster decides beside names.
struct BackupLayout {
  std::string version_folder;  ///< "PG_15_202209061": what of a tablespace is this cluster's
  /// stats_temp_directory relative to the data directory, of servers that have it (until 14); empty:
  /// elsewhere.
  std::string stats_temp_folder = {};
};

/// TABLESPACE_VERSION_DIRECTORY
std::string tablespace_version_folder(int major, std::uint32_t catalog_version);

/// Relations by the number that their files' names begin with.
using RelationNumbers = std::set<std::string, std::less<>>;
RelationNumbers relations_with_init_fork(std::span<const std::string> names_in_folder);

struct DataFolder {
  DataRoot root = DataRoot::kDataDirectory;
  std::string path;  ///< relative to the root, "" for the root itself
  RelationNumbers with_init_fork = {};
};

BackupUse backup_use(const DataFolder& folder, std::string_view name, DataEntryKind kind,
                     const BackupLayout& layout);

/// One that Standfast gives: ".standfast", or with ".standfast-" in it. "pg_hba.conf.standfast" is an
/// administrator's.
bool is_standfast_name(std::string_view name);

/// The folders that a backup has in pg_wal, whatever is in it.
std::vector<std::string> folders_of_pg_wal(Version version);

/// pg_tblspc/NUMBER, as a link the place of a tablespace, as a folder one that lies there
/// itself (allow_in_place_tablespaces).
bool is_tablespace_name(std::string_view name);

inline constexpr std::string_view kControlFilePath = "global/pg_control";  ///< copied last

/// Files that are good only as a whole, of which their own checksum tells.
enum class WholeFile : std::uint8_t { kNo, kControlFile, kRelationMap };
WholeFile whole_file_kind(DataRoot root, std::string_view path);

}  // namespace standfast::pg
