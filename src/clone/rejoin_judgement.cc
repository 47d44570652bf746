#include "clone/rejoin_judgement.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

std::vector<pg::TimelineId> timelines_of(const pg::TimelineHistory& history) {
  std::vector<pg::TimelineId> all;
  for (const pg::TimelineSwitch& each : history.switches()) all.push_back(each.parent);
  all.push_back(history.timeline());
  return all;
}

/// The last timeline that both went through, having come to it at the same position.
std::optional<pg::TimelineId> last_common(const pg::TimelineHistory& left, const pg::TimelineHistory& right) {
  const std::vector<pg::TimelineId> lefts = timelines_of(left);
  const std::vector<pg::TimelineId> rights = timelines_of(right);
  std::optional<pg::TimelineId> common;
  for (std::size_t i = 0; i < std::min(lefts.size(), rights.size()); ++i) {
    if (lefts[i] != rights[i] || left.begin_of(lefts[i]) != right.begin_of(rights[i])) break;
    common = lefts[i];
  }
  return common;
}

}  // namespace

Result<Judgement> judge_lines(const WalLine& old, const WalLine& source) {
  const auto common = last_common(old.history, source.history);
  if (!common) {
    return Error(ErrorCode::kPrecondition, "the directory and the source have no timeline in common",
                 "Copy the source anew: standfast standby clone.");
  }
  const auto old_left_at = old.history.end_of(*common);
  const auto source_left_at = source.history.end_of(*common);
  const pg::Lsn old_end = old_left_at.value_or(old.end);
  const pg::Lsn source_end = source_left_at.value_or(source.end);
  Judgement judgement;
  judgement.fork_timeline = *common;
  judgement.fork = std::min(old_end, source_end);
  if (!old_left_at && old_end <= source_end) {
    judgement.standing = Standing::kBehind;
  } else if (!source_left_at && source_end <= old_end) {
    // The source may still get there: it is the one to follow the other.
    judgement.standing = Standing::kSourceBehind;
  }
  return judgement;
}

Kinship kinship_of(const KinshipSigns& signs) {
  if (!signs.is_on_sources_line || signs.is_standbys || signs.source_is_standby) return Kinship::kFollower;
  if (signs.source_is_on_this_host) return Kinship::kSource;
  if (signs.is_running) return Kinship::kMaySource;
  return signs.was_never_started ? Kinship::kFollower : Kinship::kMayTwin;
}

}  // namespace standfast::clone
