// What a clone finds out before it changes anything, and what it does first for a run that was killed.
#include <fmt/format.h>

#include "clone/fetch.h"
#include "clone/old_directory.h"
#include "clone/recovery_settings.h"
#include "clone/slot_take_up.h"
#include "pg/format/sql_text.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::size_t kMaxLabelBytes = 1024;

Error usage(std::string message, std::string hint) {
  return {ErrorCode::kUsage, std::move(message), std::move(hint)};
}

}  // namespace

Result<void> Fetch::check_options() const {
  const bool has_slot = options_.slot.has_value();
  if (options_.slot_use == SlotUse::kCreate && !has_slot)
    return usage("a slot to create needs a name", "Add -S NAME.");
  if (options_.slot_use == SlotUse::kNone && has_slot)
    return usage("--no-slot cannot be used with a slot name", "Leave one of them out.");
  if (!streams_wal() && (has_slot || options_.slot_use == SlotUse::kCreate))
    return usage("a replication slot can only be used with WAL streaming",
                 "Use -X stream, or leave -S and -C out.");
  if (has_slot) TRY(pg::valid_slot_name(*options_.slot));
  if (options_.label.size() > kMaxLabelBytes || options_.label.find('\n') != std::string::npos)
    return usage("the backup label is too long or has a line break", "Give a shorter one of one line.");
  if (options_.wal_directory && (options_.wal_directory->empty() || (*options_.wal_directory)[0] != '/'))
    return usage("--waldir must be an absolute path", "Give it from the root on.");
  if (options_.move_old_to && !options_.replace)
    return usage("--move-old-to needs --replace", "Without it no directory is replaced: leave it out.");
  return base::ok();
}

/// What is in the target, or, in a plan, what would be there once an interrupted run's renames are undone.
Result<TargetState> Fetch::inspect(OnRunningServer on_running_server) const {
  const std::string& path = state_->options.target;
  if (!interrupted_ || interrupted_->state != PlacementState::kUndone)
    return inspect_target(files_, path, target_rules(on_running_server));
  TargetState state;
  state.path = path;
  state.kind = interrupted_->has_old ? TargetKind::kDataDirectory : TargetKind::kEmpty;
  if (interrupted_->placing == Placing::kInside) state.inside_because = "as in the interrupted run";
  if (!interrupted_->has_old || options_.replace) return state;
  return Error(ErrorCode::kTargetRefused, fmt::format("\"{}\" is not empty: it is a data directory", path),
               "An interrupted clone was replacing it. With --replace this one does.");
}

Result<void> Fetch::look() {
  TRY(check_options());
  // A server that runs in the target may be stopped by now or later; it is looked at again before that.
  const auto on_running = options_.stop_server ? OnRunningServer::kReport : OnRunningServer::kRefuse;
  target_ = TRY(inspect(on_running));
  TRY(look_at_folders());
  auto connection = TRY(connect_to_source(options_, SourceUse::kBackup, environment_.stop));
  source_ = TRY(look_at_source(connection, options_, environment_.stop));
  backup_connection_ = std::move(connection);
  target_ = TRY(inspect(on_running));
  say_what_the_source_is();
  if (target_.inside_because)
    reporter_.detail(*target_.inside_because + ": it stays, and its entries are exchanged");
  reporter_.detail(fmt::format("connected to PostgreSQL {}, system identifier {}, timeline {}, WAL at {}",
                               source_.version.to_string(), source_.identity.system_id.to_string(),
                               source_.identity.timeline.value(), source_.identity.wal_position.to_string()));
  return base::ok();
}

void Fetch::say_what_the_source_is() const {
  if (source_.is_standby && options_.from_standby == FromStandby::kSaid) {
    reporter_.info("the source is a standby: the copy will follow a standby");
  } else if (source_.is_standby) {
    reporter_.warn("the source is itself a standby, and a copy made with -R will follow it",
                   "If that is meant, say --from-standby; if not, copy from its primary.");
  } else if (options_.from_standby == FromStandby::kSaid) {
    reporter_.info("the source is a primary now, not a standby: the copy will follow it directly");
  }
}

// The folders of a run that was killed are in nobody's way: they go before anything is made.
Result<void> Fetch::look_at_folders() const {
  if (!TRY(read_stale_journal(files_, target_.path)) && options_.wal_directory) {
    TRY(inspect_outside_folder(files_, {*options_.wal_directory, target_.path, "--waldir"},
                               TRY(old_links_of(files_, target_))));
  }
  if (!options_.move_old_to) return base::ok();
  TRY(check_place_for_old(files_, *options_.move_old_to, target_.path));
  if (target_.kind != TargetKind::kDataDirectory) return base::ok();
  return check_room_for_old(files_, *options_.move_old_to, target_.path);
}

void Fetch::look_for_left_slot() {
  state_->left_slot = find_left_slot(files_, target_.path, options_,
                                     conninfo_without_secrets(backup_connection_->connection()));
}

Result<ClonePlan> Fetch::plan() {
  state_->options.target = TRY(target_of(options_.target, environment_));
  TRY(refuse_claimed(files_, state_->options.target));
  interrupted_ = TRY(find_interrupted(files_, state_->options.target));
  TRY(look());
  TRY(choose_way());
  look_for_left_slot();
  ClonePlan plan;
  if (state_->left_slot) plan.drops_slot = state_->left_slot->slot.name;
  if (agent_) plan.agent = agent_->member();
  plan.source_is_standby = source_.is_standby;
  plan.system_id = source_.identity.system_id;
  plan.server_version = source_.version;
  plan.timeline = source_.identity.timeline;
  plan.wal_position = source_.identity.wal_position;
  plan.target = target_.path;
  plan.staging = staging_path_of(target_.path, target_.placing());
  plan.inside_because = target_.inside_because;
  if (target_.kind == TargetKind::kDataDirectory) {
    plan.moves_aside_to = old_path_of(target_.path, target_.placing(), time_for_name());
    plan.moves_old_to = options_.move_old_to;
  }
  if (interrupted_) plan.first = describe(*interrupted_, target_.path);
  plan.stops_server = target_.running_server.has_value();
  return plan;
}

// Before anything is asked of the primary: an old directory must come back even if that cannot be reached.
Result<void> Fetch::end_interrupted_placement(const Claim& claim) {
  TRY(settle_interrupted(files_, state_->options.target, reporter_));
  TRY(move_old_directory(claim, environment_));
  return base::ok();
}

Result<void> Fetch::remove_what_a_killed_run_left() {
  const auto journal = TRY(read_stale_journal(files_, target_.path));
  if (!journal) return base::ok();
  if (journal->copy) return take_up(*journal);
  if (journal->kept) {
    for (const std::string& folder : journal->folders) {
      if (!TRY(files_.inspect(folder))) continue;
      return Error(ErrorCode::kTargetRefused,
                   fmt::format("\"{}\" was kept by an earlier clone with --no-clean", folder),
                   "Remove it by hand when it is no longer needed.");
    }
  }
  if (!journal->folders.empty()) {
    TRY(Staging::remove_stale(files_, *journal));
    reporter_.info("removed what an interrupted clone had left beside \"" + target_.path + "\"");
  }
  if (journal->slot) {
    const JournalSlot& slot = *journal->slot;
    if (slot.system_id != source_.identity.system_id) {
      reporter_.warn(
          fmt::format("an interrupted clone from another primary (system identifier {}) left the slot \"{}\"",
                      slot.system_id.to_string(), slot.name),
          fmt::format("Drop it there if it is still there: {}.", drop_statement(slot.name)));
    } else if (auto dropped = drop_own_slot(options_.connect, slot, environment_)) {
      reporter_.info(fmt::format("dropped the slot \"{}\" of an interrupted clone", slot.name));
    } else if (dropped.error().sqlstate != kSlotUndefined) {
      return std::move(dropped).error().with_context(
          fmt::format("the slot \"{}\" of an interrupted clone could not be dropped", slot.name));
    }
  }
  return remove_journal(files_, target_.path, *journal);
}

}  // namespace standfast::clone
