// Where a stream of WAL is to begin, judged from what the server says of itself and what is held already
// (bin/pg_basebackup/pg_receivewal.c StreamLog(), receivelog.c ReceiveXlogStream(); the judgement is ours).
//
// A reported flush releases commits on the server, so it must speak of the server's own WAL. Two servers may
// count the same timeline and mean different ones (two standbys were promoted, or a server was set back to a
// snapshot), so positions are not enough: the histories must agree on how the held timeline began, and the
// plan names a range that both have, to be compared byte by byte (overlap_comparison.h) before anything is
// reported. Where the server's timeline is a later one, its history says where ours ended. If that is below
// what was acknowledged, the new timeline does without commits that a client was told of: that is for a
// person to decide.
//
// Pure. Fails with kPrecondition; the message names the range of WAL and both timelines.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "pg/format/lsn.h"
#include "pg/format/timeline_history.h"

namespace standfast::wal {

struct ServerWal {
  pg::TimelineId timeline;
  pg::Lsn flushed;
  pg::TimelineHistory history;  ///< of that timeline
  std::uint64_t segment_bytes = 0;
};

struct HeldWal {
  pg::TimelineId timeline;
  pg::Lsn resume_at;
  pg::Lsn acknowledged;  ///< or proven, which may have been acknowledged; invalid: nothing
  /// What came, whole or not; a timeline can end within a record that its server never finished.
  pg::Lsn received = {};
  /// Of its timeline, as it was stored; absent: not known.
  std::optional<pg::TimelineHistory> history = {};
};

struct SlotPosition {
  pg::Lsn restart;
  std::optional<pg::TimelineId> timeline = {};
};

struct ReceiveWishes {
  std::optional<SlotPosition> slot = {};    ///< where an empty store begins
  std::optional<pg::Lsn> accept_fork = {};  ///< a fork below what was acknowledged that may be followed
};

/// WAL that is held and that the server must have too.
struct Overlap {
  pg::TimelineId timeline;
  pg::Lsn start;  ///< of a page
  pg::Lsn end;    ///< not after it: there is none
  bool is_empty() const { return end <= start; }
  bool operator==(const Overlap&) const = default;
};

struct ReceiveStart {
  pg::TimelineId timeline;
  pg::Lsn at;
  pg::Lsn fork;                         ///< where the timeline begins
  std::optional<Overlap> overlap = {};  ///< absent: nothing is held that could differ
  bool operator==(const ReceiveStart&) const = default;
};

base::Result<ReceiveStart> plan_receive(const ServerWal& server, const std::optional<HeldWal>& held,
                                        const ReceiveWishes& wishes);

}  // namespace standfast::wal
