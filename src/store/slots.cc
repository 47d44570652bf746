#include "store/slots.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "pg/format/sql_text.h"

namespace standfast::store {

using base::Error;
using base::ErrorCode;
using base::Result;
using wal::serve::SlotAnswer;
using wal::serve::SlotOutcome;
using wal::serve::StoreView;

namespace {

constexpr std::string_view kFolder = "standfast.slots";
constexpr std::uint64_t kMaxFileBytes = 4096;
constexpr mode_t kFolderMode = 0700;
/// The user of a slot whose file is being made or removed.
constexpr SlotUser kNobodyElse = ~SlotUser{0};

/// As tliOfPointInHistory().
pg::TimelineId timeline_of(pg::Lsn position, const StoreView& view) {
  for (const auto& ancestor : view.ancestors) {
    if (position < ancestor.end) return ancestor.timeline;
  }
  return view.timeline;
}

/// How far a position lies in our history too; invalid: it is not known to.
pg::Lsn within_history(pg::Lsn position, pg::TimelineId timeline, const StoreView& view) {
  if (timeline == view.timeline) return position;
  for (const auto& ancestor : view.ancestors) {
    if (ancestor.timeline == timeline) return std::min(position, ancestor.end);
  }
  return {};
}

/// A standby that went on elsewhere comes back to where our history parted from its own.
pg::Lsn restart_of(const SlotState& state, const StoreView& view) {
  const pg::Lsn shared = within_history(state.restart, state.timeline, view);
  return shared.is_valid() ? shared : state.restart;
}

/// With its epoch; 0: none.
std::uint64_t full_transaction(std::uint32_t epoch, std::uint32_t transaction) {
  return transaction == 0 ? 0 : (std::uint64_t{epoch} << 32U) | transaction;
}

SlotAnswer failed(const Error& error) {
  return {.outcome = SlotOutcome::kFailed, .detail = error.message};
}

}  // namespace

Slots::Slots(env::FileSystem& files, Options options) : files_(files), options_(std::move(options)) {}

std::string Slots::folder() const {
  return options_.folder + "/" + std::string(kFolder);
}

Result<std::unique_ptr<Slots>> Slots::open(env::FileSystem& files, Options options) {
  std::unique_ptr<Slots> slots(new Slots(files, std::move(options)));
  TRY(slots->set_bound(slots->options_.max_keep_bytes));
  if (!TRY(files.inspect(slots->folder()))) return slots;
  for (const std::string& name : TRY(files.list(slots->folder()))) {
    if (!pg::valid_slot_name(name)) continue;  // what an interrupted write left
    const auto state = parse_slot(TRY(env::read_whole_file(files, slots->path_of(name), kMaxFileBytes)));
    if (!state) {
      return Error(ErrorCode::kDamaged,
                   fmt::format("the replication slot in \"{}\" cannot be understood", slots->path_of(name)),
                   "Restore the file. Removing it drops the slot, and with it what it holds back.");
    }
    slots->slots_[name] = Slot{.state = *state, .saved = *state};
  }
  return slots;
}

Result<void> Slots::write(const std::string& name, const SlotState& state) {
  TRY(env::make_directories(files_, folder(), kFolderMode));
  return env::write_file_durably(files_, path_of(name), encode_slot(state), {.mode = 0600});
}

SlotAnswer Slots::create(const wal::serve::CreateSlot& wish, const StoreView& view, SlotUser user) {
  const bool is_temporary = wish.life == pg::SlotLife::kTemporary;
  Slot slot;
  slot.is_temporary = is_temporary;
  slot.maker = is_temporary ? user : 0;
  if (wish.reserve_wal == pg::ReserveWal::kYes && view.timeline.value() != 0) {
    // Where a receiver that comes without WAL begins.
    slot.state.restart = view.durable_end.segment_start(options_.segment_bytes);
    slot.state.timeline = view.timeline;
  }
  slot.saved = slot.state;
  const std::lock_guard files_lock(files_mutex_);
  {
    const std::lock_guard lock(mutex_);
    if (slots_.contains(wish.slot)) return {.outcome = SlotOutcome::kExists};
    if (slots_.size() >= options_.max_slots) return {.outcome = SlotOutcome::kTooMany};
    slot.user = is_temporary ? 0 : kNobodyElse;
    slots_[wish.slot] = slot;
  }
  if (is_temporary) return {};
  const auto written = write(wish.slot, slot.state);
  const std::lock_guard lock(mutex_);
  if (written) {
    slots_[wish.slot].user = 0;
    return {};
  }
  slots_.erase(wish.slot);
  return failed(written.error());
}

SlotAnswer Slots::read(const std::string& name, const StoreView& view) const {
  const std::lock_guard lock(mutex_);
  const auto found = slots_.find(name);
  if (found == slots_.end()) return {.outcome = SlotOutcome::kMissing};
  const SlotState& state = found->second.state;
  if (state.is_lost) return {.outcome = SlotOutcome::kLost};
  SlotAnswer answer{.restart = restart_of(state, view)};
  if (answer.restart.is_valid()) answer.restart_timeline = timeline_of(answer.restart, view);
  return answer;
}

SlotAnswer Slots::drop(const wal::serve::DropSlot& wish, SlotUser user, base::Deadline deadline) {
  {
    std::unique_lock lock(mutex_);
    const auto is_free = [&] {
      const auto found = slots_.find(wish.slot);
      if (found == slots_.end()) return true;
      return found->second.user == 0 && !is_anothers(found->second, user);
    };
    const bool may_wait = wish.when_active == pg::WhenActive::kWait;
    if (!(may_wait ? released_.wait_until(lock, deadline.when(), is_free) : is_free())) {
      return {.outcome = SlotOutcome::kActive};
    }
  }
  const std::lock_guard files_lock(files_mutex_);
  {
    const std::lock_guard lock(mutex_);
    const auto found = slots_.find(wish.slot);
    if (found == slots_.end()) return {.outcome = SlotOutcome::kMissing};
    if (found->second.user != 0 || is_anothers(found->second, user)) {
      return {.outcome = SlotOutcome::kActive};
    }
    found->second.user = kNobodyElse;
    if (found->second.is_temporary) {
      slots_.erase(found);
      return {};
    }
  }
  auto removed = files_.remove_file(path_of(wish.slot));
  if (removed) removed = files_.sync_directory(folder());
  const std::lock_guard lock(mutex_);
  if (removed) {
    slots_.erase(wish.slot);
    return {};
  }
  slots_[wish.slot].user = 0;
  return failed(removed.error());
}

SlotAnswer Slots::acquire(const std::string& name, SlotUser user) {
  const std::lock_guard lock(mutex_);
  const auto found = slots_.find(name);
  if (found == slots_.end()) return {.outcome = SlotOutcome::kMissing};
  Slot& slot = found->second;
  if (slot.user != 0 || is_anothers(slot, user)) return {.outcome = SlotOutcome::kActive};
  if (slot.state.is_lost) return {.outcome = SlotOutcome::kLost};
  slot.user = user;
  return {};
}

void Slots::advance(SlotUser user, const wal::serve::AdvanceSlot& reported) {
  const std::lock_guard lock(mutex_);
  for (auto& [name, slot] : slots_) {
    if (slot.user != user || slot.state.is_lost) continue;
    // Back, too: a standby that was made anew from an older copy needs what came before, and lacks it.
    slot.state.restart = slot.state.flushed = reported.flushed;
    slot.state.timeline = reported.timeline;
  }
}

bool Slots::keep_feedback(SlotUser user, const pg::HotStandbyFeedback& feedback) {
  const std::lock_guard lock(mutex_);
  for (auto& [name, slot] : slots_) {
    if (slot.user != user) continue;
    slot.state.xmin = full_transaction(feedback.xmin_epoch, feedback.xmin);
    slot.state.catalog_xmin = full_transaction(feedback.catalog_xmin_epoch, feedback.catalog_xmin);
    return true;
  }
  return false;
}

bool Slots::has_lost(SlotUser user) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(slots_.begin(), slots_.end(), [user](const auto& entry) {
    return entry.second.user == user && entry.second.state.is_lost;
  });
}

void Slots::release(SlotUser user) {
  {
    const std::lock_guard lock(mutex_);
    for (auto& [name, slot] : slots_) {
      if (slot.user == user) slot.user = 0;
    }
  }
  released_.notify_all();
}

void Slots::end_session(SlotUser user) {
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(slots_, [user](const auto& entry) { return entry.second.maker == user; });
  }
  release(user);
}

Result<void> Slots::save() {
  const std::lock_guard files_lock(files_mutex_);
  std::vector<std::pair<std::string, SlotState>> due;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [name, slot] : slots_) {
      if (slot.is_temporary) {
        slot.saved = slot.state;  // nothing of it is to outlive the process
      } else if (slot.state != slot.saved) {
        due.emplace_back(name, slot.state);
      }
    }
  }
  for (const auto& [name, state] : due) {
    TRY(write(name, state));
    const std::lock_guard lock(mutex_);
    slots_[name].saved = state;
  }
  return base::ok();
}

Result<void> Slots::set_bound(std::optional<std::uint64_t> max_keep_bytes) {
  if (!max_keep_bytes) max_keep_bytes = TRY(files_.space(options_.folder)).total_bytes / 2;
  const std::lock_guard lock(mutex_);
  max_keep_bytes_ = *max_keep_bytes;
  return base::ok();
}

std::uint64_t Slots::max_keep_bytes() const {
  const std::lock_guard lock(mutex_);
  return max_keep_bytes_;
}

Result<std::vector<LostSlot>> Slots::enforce_bound(const StoreView& view) {
  std::vector<LostSlot> lost;
  {
    const std::lock_guard lock(mutex_);
    if (max_keep_bytes_ == 0) return lost;
    for (auto& [name, slot] : slots_) {
      const pg::Lsn restart = restart_of(slot.state, view);
      if (restart.is_valid() && view.durable_end.bytes_since(restart) > max_keep_bytes_) {
        slot.state.is_lost = true;
      }
      if (slot.state.is_lost && !slot.saved.is_lost) lost.push_back({name, slot.user});
    }
  }
  // What is held back for a slot that is lost goes only when that is durable, and only then it is told.
  if (!lost.empty()) TRY(save());
  return lost;
}

std::vector<pg::HotStandbyFeedback> Slots::feedbacks() const {
  const std::lock_guard lock(mutex_);
  std::vector<pg::HotStandbyFeedback> feedbacks;
  for (const auto& [name, slot] : slots_) {
    const SlotState& state = slot.state;
    if (state.is_lost || (state.xmin == 0 && state.catalog_xmin == 0)) continue;
    feedbacks.push_back({.xmin = static_cast<std::uint32_t>(state.xmin),
                         .xmin_epoch = static_cast<std::uint32_t>(state.xmin >> 32U),
                         .catalog_xmin = static_cast<std::uint32_t>(state.catalog_xmin),
                         .catalog_xmin_epoch = static_cast<std::uint32_t>(state.catalog_xmin >> 32U)});
  }
  return feedbacks;
}

std::vector<wal::RetainedSlot> Slots::retained(const StoreView& view) const {
  const std::lock_guard lock(mutex_);
  std::vector<wal::RetainedSlot> retained;
  for (const auto& [name, slot] : slots_) {
    wal::RetainedSlot& each = retained.emplace_back();
    each.name = name;
    each.flushed = within_history(slot.state.flushed, slot.state.timeline, view);
    each.is_lost = slot.saved.is_lost;
    for (const SlotState* state : {&slot.state, &slot.saved}) {
      const pg::Lsn restart = restart_of(*state, view);
      if (restart.is_valid()) each.restart = each.restart ? std::min(*each.restart, restart) : restart;
    }
  }
  return retained;
}

}  // namespace standfast::store
