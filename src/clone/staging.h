// The folders a copy is made in, and how they become the real ones.
//
//   DIR.standfast-staging            becomes DIR
//   TABLESPACE/standfast-staging     its entries move up into TABLESPACE, which may be a mount point
//   WALDIR/standfast-staging         the same
//
// Threading: one thread. Ownership: owns the folders; remove() takes them away again, the destructor does not
// (StagedClone decides).
// Invariants: each folder is in the journal before it exists. put_in_place() either does all, or leaves what
// was there before as it was. What was in the target is renamed, never removed.
// Fails: kTargetRefused, kInUse, kPermission, kDiskFull, kIo.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "clone/journal.h"
#include "clone/target.h"
#include "clone/tree_writer.h"
#include "env/file_system.h"

namespace standfast::clone {

enum class SyncFiles : std::uint8_t { kNo, kYes };

class Staging {
 public:
  struct Options {
    std::string target;
    TargetRules rules;
    TreeModes modes = {};
    SyncFiles sync = SyncFiles::kYes;
    std::optional<std::string> wal_directory = {};
  };

  /// Makes the staging folder with an empty pg_wal. What a killed run left must have been removed before.
  static base::Result<Staging> create(env::FileSystem& files, Options options);
  static base::Result<void> remove_stale(env::FileSystem& files, const Journal& journal);

  /// A tablespace outside the data directory: its final folder must be missing or empty.
  base::Result<TablespacePlace> add_tablespace(std::uint32_t oid, const std::string& final_path);
  base::Result<void> note_slot(const JournalSlot& slot);

  const std::string& data_folder() const { return data_folder_; }
  const std::string& wal_folder() const { return wal_folder_; }
  const std::string& target() const { return options_.target; }
  const TreeModes& modes() const { return options_.modes; }

  /// Renames everything to its place; the path to which the old directory was moved, if there was one.
  base::Result<std::optional<std::string>> put_in_place();
  /// Removes the folders and, where no slot is noted, the journal. Goes on after an error and gives the
  /// first.
  base::Result<void> remove();
  base::Result<void> forget_slot();

 private:
  struct Outside {
    std::string final_path;
    std::string staging_path;
    OutsideKind was = OutsideKind::kEmpty;
    std::vector<std::string> moved = {};  ///< names already in final_path
  };
  Staging(env::FileSystem& files, Options options, Journal journal);
  base::Result<void> make_folders();
  base::Result<std::string> add_outside(const std::string& final_path, const std::string& what);
  base::Result<void> place_outside(Outside& outside);
  void take_back_outside();
  base::Result<std::optional<std::string>> place_data_folder(const TargetState& target);
  base::Result<void> sync_directory(const std::string& path);

  env::FileSystem* files_;
  Options options_;
  Journal journal_;
  std::string data_folder_;
  std::string wal_folder_;
  std::vector<Outside> outside_;
};

/// "DIR.standfast-old-20260131T120000", in UTC.
std::string aside_path_of(const std::string& target);

}  // namespace standfast::clone
