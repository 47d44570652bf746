// The folders a copy is made in, and how they become the real ones.
//
//   DIR.standfast-staging            becomes DIR
//   TABLESPACE/standfast-staging     its entries move up into TABLESPACE, which may be a mount point
//   WALDIR/standfast-staging         the same
//
// Threading: one thread. Ownership: owns the folders; remove() takes them away again, the destructor does not
// (StagedClone decides).
// Invariants: each folder is in the journal before it exists, and each rename of put_in_place() before the
// first of them. put_in_place() either does all, or leaves what was there before as it was; when it is
// killed, the next run does that with undo_placement(). What was in the target is renamed, never removed.
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

struct Placed {
  std::optional<std::string> aside = {};        ///< where the old directory is now, if there was one
  std::optional<base::Error> not_durable = {};  ///< the renames are done, but may not survive a power failure
};

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

  /// Renames everything to its place. After an error nothing is in place, and what was there is back; if that
  /// could not be done, remove() does nothing and the next run undoes it.
  base::Result<Placed> put_in_place();
  /// Removes the folders that this run made and, where no slot is noted, the journal. Goes on after an error
  /// and gives the first.
  base::Result<void> remove();
  base::Result<void> forget_slot();
  /// The folders are left, and no later run removes them.
  base::Result<void> keep();

 private:
  struct Outside {
    std::string final_path;
    std::string staging_path;
    OutsideKind was = OutsideKind::kEmpty;
    bool made = false;  ///< the staging_path
  };
  Staging(env::FileSystem& files, Options options, Journal journal);
  base::Result<void> make_folders();
  base::Result<std::string> add_outside(const std::string& final_path, const std::string& what);
  base::Result<void> note_placement(const TargetState& target);
  base::Result<void> rename_all(const TargetState& target);
  base::Error undone(base::Error error);
  base::Result<void> sync_directory(const std::string& path);

  env::FileSystem* files_;
  Options options_;
  Journal journal_;
  bool has_journal_ = false;
  bool made_data_folder_ = false;
  std::string data_folder_;
  std::string wal_folder_;
  std::vector<Outside> outside_;
};

/// What the renames of a run that was killed, or that failed, come to.
enum class PlacementState : std::uint8_t {
  kNone,    ///< there were none
  kUndone,  ///< the copy is whole in its staging folders, and what was there before is back
  kPlaced,  ///< all were done: the copy is in place
};
/// Undoes the renames that a journal notes, unless the copy's own was done, and notes that.
base::Result<PlacementState> undo_placement(env::FileSystem& files, const std::string& target,
                                            Journal& journal);

/// "DIR.standfast-old-20260131T120000", in UTC.
std::string aside_path_of(const std::string& target);

}  // namespace standfast::clone
