// Which segments of a store may go (access/transam/xlog.c KeepLogSeg() and slot.c
// InvalidateObsoleteReplicationSlots() decide so for a server).
//
// A segment goes when all of these hold: it is older than what is kept by size and by time; no slot within
// its bound needs it; the end can be proven without it; and a standby is known to have all of it. Without
// such a standby nothing goes, whatever the bounds say: it may be the only copy of an acknowledged commit. A
// slot past the bound is lost, but what only it would have had stays. What lies past the place where the
// history left its timeline, no standby of this history will ever have: it stays too, and is for a person to
// take away.
//
// Pure. Never fails.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pg/format/lsn.h"
#include "wal/serve_actions.h"

namespace standfast::wal {

struct KeptSegment {
  pg::TimelineId timeline;
  pg::Lsn start;
  std::int64_t finished_unix_seconds = 0;
};

struct RetainedSlot {
  std::string name;
  std::optional<pg::Lsn> restart;  ///< none: it needs nothing yet
  pg::Lsn flushed;                 ///< what its standby has on its disk; invalid: nothing known
  bool is_lost = false;
};

struct RetentionRules {
  std::uint64_t keep_bytes = 0;
  std::int64_t keep_seconds = 0;
  /// How far behind the end a slot may hold WAL; none: without bound.
  std::optional<std::uint64_t> slot_keep_bytes = {};
};

struct RetentionInput {
  std::vector<KeptSegment> segments;  ///< whole ones, sorted by position
  std::vector<RetainedSlot> slots;
  serve::StoreView store;  ///< what is served: the end of the WAL, and its history
  pg::Lsn proof_from;      ///< a start proves that end with WAL from here on
  std::int64_t now_unix_seconds = 0;
  std::uint64_t segment_bytes = 0;
};

struct RetentionPlan {
  std::vector<KeptSegment> drop;        ///< the oldest first
  std::vector<std::string> lost_slots;  ///< that go past the bound now
  /// Bytes above what the rules would keep that stay because no standby is known to have them.
  std::uint64_t unproven_bytes = 0;
};

RetentionPlan plan_retention(const RetentionRules& rules, const RetentionInput& input);

}  // namespace standfast::wal
