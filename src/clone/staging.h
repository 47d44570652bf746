// The folders a copy is made in, and how they become the real ones (places.h has their names).
//
//   beside: DIR.standfast-staging becomes DIR by one rename, the old DIR goes aside by another.
//   inside: DIR stays; its old entries go to DIR/.standfast/old-TIME, those of DIR/.standfast/new come in.
//   A tablespace, --waldir, a disk mounted in DIR: always inside, with either of these.
//
// Threading: one thread. Ownership: owns the folders; remove() takes them away again, the destructor does not
// (StagedClone decides).
// Invariants: each folder is in the journal before it exists, and each rename of put_in_place() before the
// first of them. put_in_place() either does all, or leaves what was there before as it was; when it is
// killed, the next run does that (swap.h). What was in the target is renamed, never removed.
// Fails: kTargetRefused, kInUse, kPermission, kDiskFull, kIo.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "clone/journal.h"
#include "clone/outside.h"
#include "clone/swap.h"
#include "clone/target.h"
#include "clone/tree_writer.h"
#include "env/file_system.h"

namespace standfast::clone {

struct Placed {
  std::optional<std::string> old = {};         ///< where the old directory is now, if there was one
  std::vector<std::string> also_kept = {};     ///< of it, on disks of their own
  std::optional<base::Error> unfinished = {};  ///< the copy is in place, but what comes after failed
};

class Staging {
 public:
  struct Options {
    std::string target;
    Placing placing = Placing::kBeside;
    std::vector<std::string> mounted_entries = {};  ///< of the target: they stay, and what is in them goes
    TargetRules rules = {};
    TreeModes modes = {};
    SyncFiles sync = SyncFiles::kYes;
    std::optional<std::string> wal_directory = {};
    std::optional<std::string> move_old_to = {};
    OldLinks old_links = {};
    /// The copy may go on in a later run, which takes its folders up.
    std::optional<JournalCopy> copy = {};
    std::optional<Journal> taken_up = {};
  };

  /// Makes the staging folder with an empty pg_wal. What a killed run left must have been removed before, or
  /// is taken up.
  static base::Result<Staging> create(env::FileSystem& files, Options options);
  static base::Result<void> remove_stale(env::FileSystem& files, const Journal& journal);

  /// A tablespace outside the data directory.
  base::Result<TablespacePlace> add_tablespace(std::uint32_t oid, const std::string& final_path);
  base::Result<void> note_slot(const JournalSlot& slot);
  /// Once all folders are added: those of the run before that this one has no use for go.
  base::Result<void> remove_unused();

  const std::string& data_folder() const { return data_folder_; }
  const std::string& wal_folder() const { return wal_folder_; }
  /// Entries of the data directory that are written elsewhere, with their folders; pg_wal is one of them.
  const std::map<std::string, std::string>& entry_folders() const { return entry_folders_; }
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
  /// A folder whose entries are exchanged, and what this run has made in it.
  struct Root {
    std::string folder;
    std::string old_entry = {};
    OutsideKind was = OutsideKind::kOld;
    bool made_new = false;
  };
  Staging(env::FileSystem& files, Options options, Journal journal);
  base::Result<void> begin_journal();
  base::Result<void> make_folders();
  base::Result<void> make_pg_wal(const std::string& place);
  bool is_taken_up(const std::string& folder) const;
  base::Result<void> make_data_folder();
  base::Result<void> make_wal_folder();
  base::Result<std::string> add_root(Root root);
  base::Result<std::string> add_outside(const OutsideQuestion& question);
  base::Result<SwapRoot> swap_of(const Root& root, const TargetState& target) const;
  base::Result<void> note_placement(const TargetState& target);
  base::Error undone(base::Error error);
  void forget_folders();

  env::FileSystem* files_;
  Options options_;
  Journal journal_;
  bool has_journal_ = false;
  bool made_data_folder_ = false;
  std::vector<std::string> unused_;  ///< of what was taken up
  std::string data_folder_;
  std::string wal_folder_;
  std::map<std::string, std::string> entry_folders_;
  std::vector<Root> roots_;
};

}  // namespace standfast::clone
