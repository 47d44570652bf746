// Whether an old data directory can follow a source, and what of it would be lost: two lines of WAL, each
// with the timelines that it went through and how far it has come, beside each other
// (bin/pg_rewind/pg_rewind.c findCommonAncestorTimeline()).
//
// Two servers that were promoted to the same timeline at the same position cannot be told apart by that, nor
// can two that were started as primaries from copies of one directory: of a directory that may be such a twin
// of the source, or the source's own, kinship_of() tells.
//
// Threading: pure functions on values. Fails: kPrecondition where the lines have no timeline in common.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "pg/format/lsn.h"
#include "pg/format/timeline_history.h"

namespace standfast::clone {

struct WalLine {
  pg::TimelineHistory history;  ///< up to the newest timeline
  pg::Lsn end;                  ///< on that
};

enum class Standing : std::uint8_t {
  kBehind,        ///< all that the old one has is in the source
  kSourceBehind,  ///< the old one has what the source, on the same line, has not got yet
  kDiverged,      ///< the old one has what the source never had
};
struct Judgement {
  Standing standing = Standing::kDiverged;
  /// Up to where they are the same, and on which timeline.
  pg::TimelineId fork_timeline;
  pg::Lsn fork;
};
base::Result<Judgement> judge_lines(const WalLine& old, const WalLine& source);

/// What tells whose a directory is that came out of a primary.
struct KinshipSigns {
  bool is_on_sources_line = false;  ///< on its timeline, and not diverged from it
  bool is_standbys = false;         ///< its server was in recovery, or would be
  bool was_never_started = false;   ///< backup_label is there: nobody wrote WAL in it
  bool is_running = false;
  bool source_is_standby = false;
  bool source_is_on_this_host = false;
};
enum class Kinship : std::uint8_t {
  kFollower,   ///< it can follow the source; where its WAL ends tells what it has
  kSource,     ///< the source's own directory
  kMaySource,  ///< a primary runs in it, which may be the source, however that was reached
  kMayTwin,    ///< a stopped primary's, which may have WAL of its own where the source has other
};
Kinship kinship_of(const KinshipSigns& signs);

}  // namespace standfast::clone
