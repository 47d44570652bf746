#include "wal/receive_plan.h"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "pg/format/wal_record.h"

namespace standfast::wal {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// Two histories that part before it do not write the same bytes for so long: commits bear their time.
constexpr std::uint64_t kComparedBytes = std::uint64_t{1} << 20U;

ReceiveStart start_on(const ServerWal& server, pg::TimelineId timeline, pg::Lsn at) {
  return {timeline, at, server.history.begin_of(timeline).value_or(pg::Lsn()), std::nullopt};
}

/// The last of what is held, up to where the server's WAL goes and, on an older timeline, to its end.
Overlap overlap_of(const ServerWal& server, const HeldWal& held) {
  const pg::Lsn end = std::min(
      {held.resume_at, server.flushed, server.history.end_of(held.timeline).value_or(held.resume_at)});
  // A timeline has no segments before the one in which it begins.
  const pg::Lsn first =
      server.history.begin_of(held.timeline).value_or(pg::Lsn()).segment_start(server.segment_bytes);
  const pg::Lsn back(end.value() > kComparedBytes ? end.value() - kComparedBytes : 0);
  return {held.timeline, std::max(first, back.segment_start(pg::kWalPageBytes)), end};
}

/// How a timeline began, as its own history or one of a later timeline says it.
std::vector<pg::TimelineSwitch> switches_before(const pg::TimelineHistory& history, pg::TimelineId timeline) {
  std::vector<pg::TimelineSwitch> found;
  for (const pg::TimelineSwitch& each : history.switches()) {
    if (each.parent < timeline) found.push_back(each);
  }
  return found;
}

std::string in_words(const std::vector<pg::TimelineSwitch>& switches) {
  return switches.empty() ? "nowhere"
                          : fmt::format("timeline {} at {}", switches.back().parent.value(),
                                        switches.back().at.to_string());
}

Result<void> judge_histories(const ServerWal& server, const HeldWal& held) {
  if (!held.history || !server.history.contains(held.timeline)) return base::ok();
  const auto ours = switches_before(*held.history, held.timeline);
  const auto theirs = switches_before(server.history, held.timeline);
  if (ours == theirs) return base::ok();
  return Error(
      ErrorCode::kPrecondition,
      fmt::format("the server's timeline {} is another one than that held here: it comes from {}, "
                  "that of the server from {}",
                  held.timeline.value(), in_words(ours), in_words(theirs)),
      "Two servers were promoted to the same timeline. Connect to the one whose WAL this is, or take "
      "another folder. Keep this one: it may have the only copy of acknowledged commits.");
}

ReceiveStart start_empty(const ServerWal& server, const std::optional<SlotPosition>& slot) {
  const pg::Lsn at = slot && slot->restart.is_valid() ? slot->restart : server.flushed;
  pg::TimelineId timeline =
      slot && slot->restart.is_valid() ? slot->timeline.value_or(server.timeline) : server.timeline;
  if (!server.history.contains(timeline)) timeline = server.timeline;
  return start_on(server, timeline, at.segment_start(server.segment_bytes));
}

Error lost_behind_fork(const HeldWal& held, pg::Lsn fork, pg::TimelineId next) {
  return {ErrorCode::kPrecondition,
          fmt::format("timeline {} begins at {}, and WAL of timeline {} was acknowledged up to {}: the "
                      "server does without "
                      "the WAL from {} to {}",
                      next.value(), fork.to_string(), held.timeline.value(), held.acknowledged.to_string(),
                      fork.to_string(), held.acknowledged.to_string()),
          fmt::format("Commits in that range were acknowledged, and are only here now. Keep the folder. To "
                      "follow the new "
                      "timeline all the same, give --accept-fork {}.",
                      fork.to_string())};
}

Result<ReceiveStart> start_behind(const ServerWal& server, const HeldWal& held,
                                  const std::optional<pg::Lsn>& accept_fork) {
  if (held.timeline == server.timeline) {
    if (server.flushed < held.acknowledged) {
      return Error(
          ErrorCode::kPrecondition,
          fmt::format("the server's WAL ends at {}, and {} of timeline {} was acknowledged here",
                      server.flushed.to_string(), held.acknowledged.to_string(), held.timeline.value()),
          "The server lost WAL, or is not the one that this folder belongs to. If it is a standby, let it "
          "catch "
          "up. Keep the folder.");
    }
    return start_on(server, held.timeline, held.resume_at);
  }
  const auto fork = server.history.end_of(held.timeline);
  if (!fork) {
    return Error(
        ErrorCode::kPrecondition,
        fmt::format("the server is on timeline {}, which does not come from timeline {}, the one held here",
                    server.timeline.value(), held.timeline.value()),
        held.timeline > server.timeline
            ? "The server is older than what was received: connect to the one that was promoted."
            : "Connect to a server that follows the same primary, or take another folder.");
  }
  const pg::TimelineId next = *server.history.after(held.timeline);
  if (held.acknowledged > *fork && accept_fork != *fork) return lost_behind_fork(held, *fork, next);
  if (std::max(held.resume_at, held.received) < *fork) return start_on(server, held.timeline, held.resume_at);
  return start_on(server, next, fork->segment_start(server.segment_bytes));
}

}  // namespace

Result<ReceiveStart> plan_receive(const ServerWal& server, const std::optional<HeldWal>& held,
                                  const ReceiveWishes& wishes) {
  if (!held) return start_empty(server, wishes.slot);
  TRY(judge_histories(server, *held));
  auto start = TRY(start_behind(server, *held, wishes.accept_fork));
  start.overlap = overlap_of(server, *held);
  return start;
}

}  // namespace standfast::wal
