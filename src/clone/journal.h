// What a clone has made and is about to rename, written down beside or inside its target, so that a run that
// was killed does not leave anything behind that the next run cannot tell from the user's own
// (docs/formats/clone-journal.md).
//
// Threading: one thread. Fails: kIo, kPermission; kProtocol for a file that is not understood; kInUse while
// the run that wrote it is alive. Holds no secret.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "clone/places.h"
#include "env/file_system.h"
#include "pg/format/lsn.h"

namespace standfast::clone {

struct JournalSlot {
  std::string name;
  pg::SystemId system_id;
  /// How that run reached the system, without a password; for a run that is told of no connection.
  std::optional<std::string> conninfo = {};
};

/// A folder that stays where it is while its entries are exchanged: those of FOLDER/.standfast/new come in.
struct SwapRoot {
  std::string folder;
  std::string old_entry = {};              ///< what the old data directory calls it: "pg_wal"; itself: ""
  std::vector<std::string> outgoing = {};  ///< names that go to FOLDER/.standfast/old-TIME
  std::vector<std::string> incoming = {};
};

/// What putting in place renames; noted before the first rename, so that it can be undone or finished.
struct JournalPlacement {
  std::string time;                        ///< in the names of what is kept
  bool has_old = false;                    ///< there is an old data directory, to be kept
  bool target_was_empty = false;           ///< a folder that has to give way
  std::optional<mode_t> mode_before = {};  ///< of a target that stays, where the copy needs another
  std::vector<SwapRoot> roots = {};
};

/// The old directory has still to go to where the user wants it.
struct JournalOld {
  std::string path;
  std::string move_to;
  bool copied = false;  ///< whole and durable on another disk: what is at `path` may go
};

/// An unfinished copy through an agent: the next run of that kind goes on in the folders.
struct JournalCopy {
  pg::SystemId system_id;
  std::optional<std::string> wal_directory = {};
  std::string begun;  ///< as time_for_name()
  // For whoever looks at it meanwhile: how the source was reached, without a password, and the standby's
  // slot.
  std::optional<std::string> source = {};
  std::optional<std::string> slot = {};
  /// Files of the secret store that were made for this copy to log in with: they are named for that slot, and
  /// go when it is given up.
  std::vector<std::string> login_files = {};
};

struct Journal {
  Placing placing = Placing::kBeside;  ///< by the place it is in
  pid_t process = 0;
  std::string process_start;         ///< tells a process from a later one of the same number
  std::vector<std::string> folders;  ///< made by that run; each has a staging name
  std::optional<JournalSlot> slot = {};
  std::optional<JournalCopy> copy = {};
  std::optional<JournalPlacement> placement = {};
  std::optional<std::string> move_old_to = {};
  std::optional<JournalOld> old = {};
  bool kept = false;  ///< by --no-clean: the folders are the user's to remove
};

std::string text_of(const Journal& journal);
/// Pure. kProtocol for one that names what no clone makes.
base::Result<Journal> parse_journal(const std::string& text, const std::string& target, Placing placing);

/// A journal of this process, with nothing in it yet.
base::Result<Journal> new_journal(env::FileSystem& files, Placing placing);
/// The first one of a run: fails with kInUse if there is a journal already, so it is the lock as well.
base::Result<void> create_journal(env::FileSystem& files, const std::string& target, const Journal& journal);
base::Result<void> write_journal(env::FileSystem& files, const std::string& target, const Journal& journal);
base::Result<void> remove_journal(env::FileSystem& files, const std::string& target, const Journal& journal);
/// None if there is nothing, whether the run that wrote it goes on or not.
base::Result<std::optional<Journal>> read_journal(env::FileSystem& files, const std::string& target);
/// The run that wrote it is alive.
bool is_at_work(env::FileSystem& files, const Journal& journal);
/// What an earlier run left; none if there is nothing. kInUse if that run goes on.
base::Result<std::optional<Journal>> read_stale_journal(env::FileSystem& files, const std::string& target);

}  // namespace standfast::clone
