// The WAL that an old data directory has: on which timeline, how far its records go, and how many
// transactions they committed from a position on.
//
// What a control file says is where to begin: records are followed from its checkpoint as a recovery would.
// Its timeline is not the newest where the server was promoted, or followed one that was, and died before its
// next checkpoint; then a newer one counts whose WAL goes on from there.
//
// Threading: one thread. Nothing is changed. Fails: kIo, kPermission, kCancelled; kPrecondition where the
// history of its timeline is to be found nowhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "clone/rejoin_judgement.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/format/control_file.h"
#include "pg/format/timeline_history.h"

namespace standfast::clone {

struct OldWalQuestion {
  std::string folder;  ///< pg_wal, or where it was moved to
  pg::ControlFile control;
  pg::TimelineHistory source;  ///< the source's, for a history file that the folder lacks
};

/// Never before what the control file vouches for.
base::Result<WalLine> find_end_of_wal(env::FileSystem& files, const OldWalQuestion& question,
                                      const env::StopEvent& stop);
/// In records that begin at `from` or behind it. No value: not all of these can be read.
base::Result<std::optional<std::uint64_t>> count_commits(env::FileSystem& files,
                                                         const OldWalQuestion& question, const WalLine& line,
                                                         pg::Lsn from, const env::StopEvent& stop);

}  // namespace standfast::clone
