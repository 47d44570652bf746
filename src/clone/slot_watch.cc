#include "clone/slot_watch.h"

#include <fmt/format.h>

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr base::Seconds kInterval(5);

}  // namespace

Result<void> SlotWatch::look_now_and_then() {
  return next_ && !next_->passed() ? base::ok() : look();
}

Result<void> SlotWatch::look() {
  next_ = base::Deadline::after(kInterval);
  return judge(TRY(look_(slot_)));
}

Result<void> SlotWatch::judge(const agent::SlotState& state) {
  const std::string bound = base::format_bytes(state.bound_bytes);
  if (state.standing == agent::SlotStanding::kLost) {
    return Error(
        ErrorCode::kSlot,
        fmt::format("replication slot \"{}\" has lost WAL that the copy needs: max_slot_wal_keep_size is {}",
                    slot_, bound),
        "Raise max_slot_wal_keep_size at the source (a reload is enough), then run this again: it goes on "
        "with what is there.");
  }
  const bool is_near_its_end = state.standing == agent::SlotStanding::kUnreserved;
  if (is_near_its_end && !has_warned_) {
    reporter_.warn(
        fmt::format("replication slot \"{}\" holds {} of WAL and max_slot_wal_keep_size is {}: the next "
                    "checkpoint may remove what the copy needs",
                    slot_, base::format_bytes(state.held_bytes), bound),
        "Raise max_slot_wal_keep_size at the source now; a reload is enough.");
  }
  has_warned_ = is_near_its_end;
  return base::ok();
}

Error SlotWatch::explain(Error failure) {
  const auto state = look_(slot_);
  if (!state) return failure;
  if (auto judged = judge(*state); !judged) return std::move(judged).error();
  if (state->standing != agent::SlotStanding::kMissing) return failure;
  // Nobody can be asked any more why the server ended its session.
  if (!failure.hint.empty()) failure.hint += " ";
  failure.hint += fmt::format(
      "The temporary slot \"{}\" went with its session, which the server ends when the slot holds back more "
      "than "
      "max_slot_wal_keep_size: see the source's log.",
      slot_);
  return failure;
}

}  // namespace standfast::clone
