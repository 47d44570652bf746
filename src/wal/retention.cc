#include "wal/retention.h"

#include <algorithm>

namespace standfast::wal {
namespace {

pg::Lsn minus(pg::Lsn position, std::uint64_t bytes) {
  return pg::Lsn(position.value() > bytes ? position.value() - bytes : 0);
}

/// It has WAL that is no part of the history.
bool is_left_behind(const KeptSegment& segment, const RetentionInput& input) {
  if (segment.timeline == input.store.timeline) return false;
  const auto& ancestors = input.store.ancestors;
  const auto left = std::find_if(ancestors.begin(), ancestors.end(), [&](const serve::Ancestor& each) {
    return each.timeline == segment.timeline;
  });
  return left == ancestors.end() || segment.start + input.segment_bytes > left->end;
}

bool is_past_bound(const RetainedSlot& slot, const RetentionRules& rules, pg::Lsn end) {
  return slot.restart && rules.slot_keep_bytes && end.bytes_since(*slot.restart) > *rules.slot_keep_bytes;
}

}  // namespace

RetentionPlan plan_retention(const RetentionRules& rules, const RetentionInput& input) {
  RetentionPlan plan;
  pg::Lsn needed_from = std::min(minus(input.store.durable_end, rules.keep_bytes), input.proof_from);
  pg::Lsn on_a_standby;
  for (const RetainedSlot& slot : input.slots) {
    on_a_standby = std::max(on_a_standby, slot.flushed);
    if (slot.is_lost || !slot.restart) continue;
    if (is_past_bound(slot, rules, input.store.durable_end)) {
      plan.lost_slots.push_back(slot.name);
    } else {
      needed_from = std::min(needed_from, *slot.restart);
    }
  }
  for (const KeptSegment& segment : input.segments) {
    const pg::Lsn end = segment.start + input.segment_bytes;
    const bool is_old = input.now_unix_seconds - segment.finished_unix_seconds >= rules.keep_seconds;
    if (end > needed_from || !is_old || is_left_behind(segment, input)) continue;
    if (end > on_a_standby) {
      plan.unproven_bytes += input.segment_bytes;
    } else {
      plan.drop.push_back(segment);
    }
  }
  return plan;
}

}  // namespace standfast::wal
