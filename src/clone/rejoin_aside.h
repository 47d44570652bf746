// What a rejoin takes out of an old data directory before it changes anything in it, and keeps in
// PG_WAL/.standfast/old-TIME, where neither base backups nor pg_verifybackup look:
//
//   pg_control, and the files right in DIR (its configuration)
//   pg_wal    all that was in it; pg_wal may be a folder elsewhere
//
// pg_control is kept first, then removed; from then until the source's is put in place no server starts from
// DIR. Only then pg_wal is emptied. A run that goes on after another was killed finds the old directory's
// pg_control and WAL where that one kept them.
//
// Threading: one thread. Ownership: borrows the file system. Invariants: set_aside() may be killed at any
// point, and repeated with the same journal; each step is durable before the next.
// Fails: kTargetRefused for a directory that is not whole and has no journal; kIo, kPermission, kDiskFull;
// kDamaged, kVersion for a pg_control that cannot be read.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "clone/journal.h"
#include "clone/rejoin_journal.h"
#include "clone/tree_writer.h"
#include "env/file_system.h"
#include "pg/format/control_file.h"
#include "pg/format/versions.h"

namespace standfast::clone {

struct OldDirectory {
  /// Of an earlier run that did not end; no value where its last step was done, too.
  std::optional<RejoinJournal> journal = {};
  bool is_in_pieces = false;  ///< no server starts from it
  pg::ControlFile control;    ///< from before that run
  std::string wal_folder;     ///< what pg_wal is, links resolved
  std::string old_wal;        ///< where the WAL is that belongs to `control`
};
/// Where all of it is kept, and the WAL of it.
std::string kept_folder_of(const RejoinJournal& journal);
std::string kept_wal_of(const RejoinJournal& journal);

/// Looks only.
base::Result<OldDirectory> look_at_old_directory(env::FileSystem& files, const std::string& data_folder);

/// The journal of a rejoin that did not end. No value: there is none, or its last step was done, and the
/// directory is a standby.
base::Result<std::optional<RejoinJournal>> find_unfinished_rejoin(env::FileSystem& files,
                                                                  const std::string& data_folder);

/// The slot that it notes as made by it.
std::optional<JournalSlot> slot_made_by(const RejoinJournal& journal);

/// The journal is that of an earlier run, or new; it is written as far as this comes. What an earlier run
/// received of WAL goes.
base::Result<void> set_aside(env::FileSystem& files, const std::string& data_folder, RejoinJournal& journal,
                             const TreeModes& modes, pg::Version version);

}  // namespace standfast::clone
