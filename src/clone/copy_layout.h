// Where the entries of an agent's list go, and what has to be so before their bytes are fetched: the folders
// are there, what is not in the list is gone, pg_control is gone, too, until the end.
//
// What stays though it is not in the list: Standfast's own names (pg/format/backup_files.h), lost+found, all
// that is in pg_wal (WAL is streamed there meanwhile), the tops of entry folders, and what lies in a
// tablespace's folder beside the folders that the list has there.
//
// Threading: one thread. Ownership: values; prepare() borrows the file system, which is best one
// beneath the folders (env/beneath.h). Invariant of a layout: each place lies below the folder it belongs to
// as far as its name tells, no place comes twice, and the folder above it is in the layout before it.
// Fails: kProtocol for a list that no agent has, kIo, kPermission, kDiskFull.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/messages.h"
#include "base/result.h"
#include "clone/swap.h"
#include "clone/tree_writer.h"
#include "env/file_system.h"
#include "pg/format/relation_file.h"

namespace standfast::clone {

struct CopyPlaces {
  std::string data_folder;  ///< all these folders exist
  /// Entries of the data directory that are written elsewhere, such as pg_wal.
  std::map<std::string, std::string> entry_folders = {};
  std::map<std::uint32_t, TablespacePlace> tablespaces = {};
  TreeModes modes = {};
};

struct PlannedFile {
  std::uint32_t number = 0;
  std::string place;
  std::string manifest_path;
  mode_t mode = 0600;
  std::uint64_t size_bytes = 0;
  std::int64_t modified_unix_seconds = 0;
  std::optional<pg::RelationFile> relation = {};     ///< it has pages
  bool is_whole = false;                             ///< fetched in one range, however long; never compared
  std::optional<std::uint64_t> existing_bytes = {};  ///< by prepare(): one is there, and this long
};

struct CopyLayout {
  struct Expected {
    enum class Kind : std::uint8_t { kFile, kFolder, kLink, kUntouched };
    Kind kind = Kind::kFolder;
    std::size_t file = 0;  ///< its place in `files`
  };
  using Names = std::map<std::string, Expected, std::less<>>;
  struct Folder {
    std::string place;
    bool is_swept = true;  ///< what is not in `names` goes
    Names names = {};
  };
  struct Link {
    std::string place;
    std::string target;
  };
  std::vector<Folder> folders;  ///< each after the one that it is in
  std::vector<Link> links;
  std::vector<PlannedFile> files;
  std::size_t control_file = 0;         ///< its place in `files`; where it lies is beside its own name,
  std::string control_file_place = {};  ///< which is this
};

base::Result<CopyLayout> lay_out(std::span<const agent::FileEntry> entries, const CopyPlaces& places);
/// By how much a folder's own files are to be longer, and by how much shorter, those that go with them.
struct FolderGrowth {
  std::string folder;
  std::uint64_t comes = 0;
  std::uint64_t goes = 0;
};
/// What prepare() and the fetch after it make of the folders. Looks only.
base::Result<std::vector<FolderGrowth>> growth_of(env::FileSystem& files, const CopyLayout& layout);
/// Notes in the layout which files are there.
base::Result<void> prepare(env::FileSystem& files, CopyLayout& layout, const TreeModes& modes,
                           SyncFiles sync);

}  // namespace standfast::clone
