#include "clone/rejoin.h"

#include <utility>
#include <vector>

#include <fmt/format.h>

#include "clone/begin_anew.h"
#include "clone/folder_bytes.h"
#include "clone/inner_folder.h"
#include "clone/new_tablespaces.h"
#include "clone/places.h"
#include "clone/recovery_settings.h"
#include "clone/rejoin_course.h"
#include "clone/slot_take_up.h"
#include "env/beneath.h"
#include "pg/format/sql_text.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

// ---------------------------------------------------------------- what holds the WAL

// Nothing moves the named slot before the copy is complete: until the directory is changed, its server may
// still need what the slot holds.
Result<void> RejoinCourse::hold_wal() {
  const CloneOptions& copy = options_.copy;
  if (copy.slot) TRY(pg::valid_slot_name(*copy.slot));
  wal_connection_ = TRY(connect_to_source(copy, SourceUse::kWal, environment_.stop));
  const auto identity = TRY(wal_connection_->identify_system(wait(kCommandTimeout)));
  if (identity.system_id != source_.identity.system_id || identity.timeline != source_.identity.timeline) {
    return Error(ErrorCode::kPrecondition, "two connections to the source reached different systems",
                 "Give one host, not a list or a name with several addresses.");
  }
  if (copy.slot_use == SlotUse::kCreate) return create_slot();
  if (!target_.running_server) TRY(try_named_slot());
  if (copy.slot_use == SlotUse::kNone) return base::ok();
  const std::string name = fmt::format("standfast_rejoin_{}", wal_connection_->connection().backend_pid());
  auto created = wal_connection_->create_physical_slot(
      {.name = name, .persistence = client::SlotPersistence::kTemporary}, wait(kCommandTimeout));
  if (created) {
    stream_slot_ = name;
    hands_over_ = copy.slot.has_value();
    return base::ok();
  }
  if (!copy.slot || created.error().sqlstate != kAllSlotsInUse) return created;
  reporter_.detail(fmt::format("no replication slot is free: \"{}\" is used from the beginning", *copy.slot));
  stream_slot_ = copy.slot;
  return base::ok();
}

/// What this run begins, or goes on with.
RejoinJournal RejoinCourse::journal_of_this_run() const {
  RejoinJournal journal = old_.journal.value_or(RejoinJournal{
      .system_id = source_.identity.system_id, .time = time_for_name(), .wal_folder = old_.wal_folder});
  journal.source = conninfo_without_secrets(connection_->connection());
  journal.slot = options_.copy.slot;
  if (options_.copy.slot_use == SlotUse::kCreate) journal.created_slot = options_.copy.slot;
  return journal;
}

// A slot is noted before it is made, so that none is left behind that the next run cannot tell from
// another's; and only where the source has none of that name yet.
Result<void> RejoinCourse::create_slot() {
  const std::string& name = *options_.copy.slot;
  stream_slot_ = name;
  const client::BackupPosition here{source_.identity.wal_position, source_.identity.timeline};
  if (old_.journal && old_.journal->created_slot == name) {
    return take_up_slot(*wal_connection_, options_.copy, name, here, environment_);
  }
  const auto tried = try_slot(*wal_connection_, name, here, client::ReserveWal::kNo, wait(kCommandTimeout));
  if (!tried && tried.error().sqlstate.empty()) return tried;  // no answer
  if (!tried && tried.error().sqlstate == kSlotUndefined) TRY(note_slot());
  if (auto created = wal_connection_->create_physical_slot({.name = name}, wait(kCommandTimeout)); !created) {
    // Without an answer nobody knows whether it is there: the note stays.
    if (created.error().sqlstate.empty()) noted_slot_ = false;
    return created;
  }
  created_slot_ = true;
  reporter_.detail(fmt::format("created replication slot \"{}\"", name));
  return base::ok();
}

Result<void> RejoinCourse::note_slot() {
  noted_slot_ = !old_.journal;
  TRY(make_inner_folder(files_, target_.path));
  return write_rejoin_journal(files_, target_.path, journal_of_this_run());
}

/// Of a run that has changed nothing.
void RejoinCourse::give_slot_back() {
  if (created_slot_) {
    const auto dropped = drop_slot(options_.copy.connect, *options_.copy.slot);
    if (!dropped && dropped.error().sqlstate != kSlotUndefined) {
      reporter_.warn(
          dropped.error().message,
          fmt::format("It holds back WAL at the source. The next run goes on with it; by hand: {}.",
                      drop_statement(*options_.copy.slot)));
      return;
    }
  }
  if (!noted_slot_) return;
  if (const auto removed = remove_rejoin_journal(files_, target_.path); !removed)
    reporter_.warn(removed.error().message, "The next run goes on with it.");
}

Result<void> RejoinCourse::try_named_slot() {
  if (!options_.copy.slot) return base::ok();
  const client::BackupPosition here{source_.identity.wal_position, source_.identity.timeline};
  const auto attempt = [&] {
    return try_slot(*wal_connection_, *options_.copy.slot, here, client::ReserveWal::kNo,
                    wait(kCommandTimeout));
  };
  return when_slot_is_free(attempt, wait(kSlotReleaseTimeout));
}

void RejoinCourse::hand_over_slot() {
  if (!hands_over_ || !wal_connection_) return;
  const client::BackupPosition at{
      hand_over_position(facts_.stop_lsn, wal_->acknowledged(), source_.wal_segment_bytes), facts_.timeline};
  const auto done =
      try_slot(*wal_connection_, *options_.copy.slot, at, client::ReserveWal::kYes, wait(kCommandTimeout));
  if (done) return;
  reporter_.warn(
      fmt::format("replication slot \"{}\" could not be moved: {}", *options_.copy.slot,
                  done.error().message),
      "The slot moves when the standby connects. Start it soon, while the source still has the WAL.");
}

// ---------------------------------------------------------------- the backup, and what is taken out for it

Result<void> RejoinCourse::begin_backup() {
  const bool is_fast = options_.copy.checkpoint == Checkpoint::kFast;
  reporter_.info(is_fast ? "waiting for a checkpoint of the source"
                         : "waiting for the source's next checkpoint to complete (-c fast makes it do one at "
                           "once)");
  TRY(agent_->begin({.label = options_.copy.label,
                     .checkpoint = is_fast ? agent::Checkpoint::kFast : agent::Checkpoint::kSpread}));
  if (agent_->begun().timeline == source_.identity.timeline) return base::ok();
  return Error(ErrorCode::kPrecondition, "the source's timeline changed while the backup began",
               "It was promoted just now. Run this again.");
}

/// By what files grow and by those that go. The old pg_wal stays on its disk, and is kept by renames.
Result<std::vector<DiskNeed>> RejoinCourse::check_room() {
  journal_ = old_.journal;
  places_ = TRY(find_places());
  RoomNeeds room(files_);
  TRY(room.add_growth(TRY(lay_out(agent_->entries(), places_))));
  TRY(room.add(old_.wal_folder, kWalReserveSegments * source_.wal_segment_bytes));
  if (journal_ && journal_->wal_is_out) {
    for (const std::string& name : TRY(entries_of(files_, old_.wal_folder)))
      TRY(room.spare(old_.wal_folder, TRY(bytes_at(files_, old_.wal_folder + "/" + name))));
  }
  auto disks = TRY(room.disks());
  TRY(clone::check_room(disks, "the rejoin", "Make room there, and run this again."));
  return disks;
}

/// As late as can be: a server that is to be stopped has then ended where nothing more comes, and one that
/// was not there when this began may be by now, as the source's checkpoint takes minutes.
Result<void> RejoinCourse::look_once_more() {
  if (is_in_pieces_) return base::ok();  // none starts from it
  if (options_.copy.stop_server) {
    TRY(inspect(OnRunningServer::kReport));
    if (target_.running_server) {
      TRY(options_.copy.stop_server());
      server_was_stopped_ = true;
    }
  }
  TRY(inspect(OnRunningServer::kRefuse));
  old_ = TRY(look_at_old_directory(files_, target_.path));
  TRY(judge());
  TRY(refuse_by_judgement());
  return options_.copy.slot_use == SlotUse::kCreate ? base::ok() : try_named_slot();
}

Result<void> RejoinCourse::take_aside() {
  journal_ = journal_of_this_run();
  places_ = TRY(find_places());
  for (const auto& [oid, place] : places_.tablespaces) journal_->tablespaces[oid] = place.folder;
  if (environment_.stop.is_set()) return env::cancelled_error();
  reporter_.detail("taking pg_control and pg_wal out");
  is_in_pieces_ = true;
  TRY(set_aside(files_, target_.path, *journal_, source_.modes, source_.version));
  for (const auto& [oid, place] : places_.tablespaces)
    TRY(env::make_directories(files_, place.folder, source_.modes.directory));
  return base::ok();
}

// What the source names is below these folders and nowhere else.
Result<void> RejoinCourse::hold_folders() {
  std::vector<std::string> folders{places_.data_folder};
  const auto add = [&](const std::string& folder) {
    if (!env::is_same_or_inside(folder, places_.data_folder)) folders.push_back(folder);
  };
  add(old_.wal_folder);
  for (const auto& [name, folder] : places_.entry_folders)
    if (folder != old_.wal_folder) add(folder);
  for (const auto& [oid, place] : places_.tablespaces) add(place.folder);
  beneath_ = TRY(env::file_system_beneath(folders));
  return base::ok();
}

Result<void> RejoinCourse::start_wal() {
  WalStream::Options options;
  options.slot = stream_slot_;
  options.start = agent_->begun().start;
  options.timeline = agent_->begun().timeline;
  options.segments.folder = old_.wal_folder;
  options.segments.timeline = agent_->begun().timeline;
  options.segments.segment_bytes = source_.wal_segment_bytes;
  options.segments.file_mode = source_.modes.file();
  wal_ = std::make_unique<WalStream>(*beneath_, *std::move(wal_connection_), std::move(options));
  wal_connection_.reset();
  return wal_->start(wait(kCommandTimeout));
}

// ---------------------------------------------------------------- the copy

Result<void> RejoinCourse::copy() {
  const CloneOptions& copy_options = options_.copy;
  AgentCopyOptions options;
  options.places = places_;
  options.streams = agent_->streams(copy_options.agent.streams);
  options.max_bytes_per_second = copy_options.max_rate_bytes_per_second;
  options.damaged_pages = copy_options.agent.damaged_pages;
  std::optional<SlotWatch> slot_watch;
  if (stream_slot_) slot_watch.emplace(agent_->watch_slot(*stream_slot_, reporter_));
  options.on_progress = [this, &slot_watch](const CopyProgress& progress) -> Result<void> {
    if (wal_->has_failed()) return slot_watch ? slot_watch->explain(wal_->failure()) : wal_->failure();
    if (slot_watch) TRY(slot_watch->look_now_and_then());
    reporter_.progress({.done_bytes = progress.fetched_bytes + progress.equal_bytes,
                        .total_bytes = progress.total_bytes,
                        .activity = "rejoin"});
    return base::ok();
  };
  const auto check =
      copy_options.verify_checksums ? AgentBackup::CheckPages::kYes : AgentBackup::CheckPages::kNo;
  TRY(agent_->copy(*beneath_, options, check, reporter_, environment_.stop));
  TRY(agent_->end(*beneath_, places_, options.sync));
  TRY(look_at_new_tablespaces(agent_->begun().tablespaces, agent_->ended().tablespaces, source_, files_,
                              reporter_));
  wal_->set_stop(agent_->ended().stop);
  reporter_.detail("waiting for the WAL up to the end of the backup");
  wal_connection_ = TRY(wal_->finish(environment_.stop));

  const AgentCopy& copied = agent_->copied();
  facts_.agent.member = agent_->member();
  facts_.agent.streams = options.streams;
  facts_.agent.fetched_bytes = copied.progress.fetched_bytes;
  facts_.agent.equal_bytes = copied.progress.equal_bytes;
  facts_.agent.pages_checked = check == AgentBackup::CheckPages::kYes && agent_->welcome().has_page_checksums;
  facts_.agent.damaged = copied.damage.named;
  facts_.agent.damaged_count = copied.damage.count;
  facts_.total_bytes = copied.progress.total_bytes;
  facts_.wal_bytes = wal_->received_bytes();
  facts_.start_lsn = agent_->begun().start;
  facts_.stop_lsn = agent_->ended().stop;
  facts_.timeline = agent_->ended().timeline;
  facts_.agent.manifest_written =
      TRY(agent_->finish(*beneath_, places_, options.sync, std::nullopt, environment_.stop));
  return base::ok();
}

Result<void> RejoinCourse::write_settings() {
  const client::Connection& connection = connection_->connection();
  const std::string said = connection.native_conninfo_value("application_name");
  StandbyIdentity identity;
  identity.slot = options_.copy.slot;
  identity.application_name = options_.copy.application_name.value_or(
      !said.empty() ? said : options_.copy.slot.value_or(host_name()));
  const auto passfile = TRY(settle_passfile(files_, connection, source_.identity.system_id,
                                            identity.application_name, target_.path));
  const RecoverySettings settings{primary_conninfo_from(connection.resolved_options(), identity, passfile),
                                  options_.copy.slot};
  return write_recovery_settings(*beneath_, target_.path, settings, source_.modes);
}

Result<void> RejoinCourse::place() {
  if (environment_.stop.is_set()) return env::cancelled_error();
  TRY(place_control_file(*beneath_, agent_->copied(), SyncFiles::kYes));
  is_in_pieces_ = false;
  is_placed_ = true;
  return remove_rejoin_journal(files_, target_.path);
}

void RejoinCourse::tell_of_left_tablespaces() const {
  for (const auto& [name, folder] : left_tablespaces_) {
    reporter_.warn(
        fmt::format("the source has no tablespace {}; what the old one had is still in \"{}\"", name, folder),
        "Remove it by hand when it is no longer needed.");
  }
}

// ---------------------------------------------------------------- all of it

Result<void> RejoinCourse::steps() {
  TRY(look());
  TRY(connect_to_agent());
  TRY(hold_wal());
  TRY(begin_backup());
  TRY(check_room());
  TRY(look_once_more());
  TRY(take_aside());
  TRY(hold_folders());
  TRY(start_wal());
  TRY(copy());
  TRY(write_settings());
  TRY(place());
  hand_over_slot();
  tell_of_left_tablespaces();
  return base::ok();
}

Error RejoinCourse::as_left(Error error) {
  if (source_.is_standby) error = as_standby_error(std::move(error));
  if (environment_.stop.is_set()) error = env::cancelled_error();
  // A slot cannot be dropped while a connection uses it.
  wal_.reset();
  wal_connection_.reset();
  agent_.reset();
  if (is_in_pieces_) {
    if (!error.hint.empty()) error.hint += " ";
    error.hint += fmt::format(
        "\"{}\" is changed in part, and no server starts from it: run this again, it goes on.", target_.path);
    return error;
  }
  if (is_placed_) return error;
  give_slot_back();
  if (server_was_stopped_) {
    reporter_.warn(fmt::format("the server in \"{}\" was stopped and is not started again", target_.path),
                   "Its data directory is as it was: start it if you need it.");
  }
  return error;
}

Result<RejoinFacts> RejoinCourse::run(const Claim& claim) {
  target_.path = claim.target();
  if (auto done = steps(); !done) return as_left(std::move(done).error());
  facts_.system_id = source_.identity.system_id;
  facts_.server_version = source_.version;
  facts_.judgement = judgement_;
  facts_.kept = kept_folder_of(*journal_);
  facts_.slot = options_.copy.slot;
  facts_.slot_was_created = options_.copy.slot_use == SlotUse::kCreate;
  return facts_;
}

Result<RejoinPlan> RejoinCourse::plan() {
  is_plan_ = true;
  target_.path = TRY(target_of(options_.copy.target, environment_));
  TRY(refuse_claimed(files_, target_.path));
  TRY(look());
  TRY(connect_to_agent());
  TRY(begin_backup());
  RejoinPlan plan;
  plan.disks = TRY(check_room());
  const CopyDifference difference = TRY(agent_->compare(files_, places_, reporter_, environment_.stop));
  plan.system_id = source_.identity.system_id;
  plan.server_version = source_.version;
  plan.judgement = judgement_;
  plan.goes_on = is_in_pieces_;
  plan.stops_server = target_.running_server.has_value();
  plan.member = agent_->member();
  plan.total_bytes = difference.total_bytes;
  plan.moved_bytes = difference.moved_bytes;
  return plan;
}

Result<RejoinPlan> plan_rejoin(const RejoinOptions& options, const CloneEnvironment& environment) {
  return RejoinCourse(options, environment).plan();
}

Result<RejoinFacts> run_rejoin(const RejoinOptions& options, const CloneEnvironment& environment) {
  const Claim claim = TRY(claim_target(options.copy.target, environment));
  const base::Stopwatch stopwatch;
  BeginAnew anew(environment.reporter, environment.stop);
  bool is_in_pieces = false;
  while (true) {
    RejoinCourse course(options, environment);
    if (is_in_pieces) course.goes_on_in_pieces();
    auto facts = course.run(claim);
    if (facts) {
      facts->elapsed = stopwatch.elapsed();
      return facts;
    }
    is_in_pieces = course.is_in_pieces();
    if (anew.after(facts.error(), is_in_pieces ? Left::kPart : Left::kNothing)) continue;
    const bool is_stopped_in_a_pause =
        environment.stop.is_set() && facts.error().code != ErrorCode::kCancelled;
    return is_stopped_in_a_pause ? course.as_left(env::cancelled_error()) : std::move(facts).error();
  }
}

}  // namespace standfast::clone
