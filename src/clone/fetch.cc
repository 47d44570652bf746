#include "clone/fetch.h"

#include <algorithm>

#include <fmt/format.h>

#include "clone/folder_bytes.h"
#include "clone/manifest_check.h"
#include "clone/recovery_settings.h"
#include "clone/room.h"
#include "clone/slot_take_up.h"
#include "env/beneath.h"

namespace standfast::clone {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// A spread checkpoint takes checkpoint_completion_target of checkpoint_timeout, which is a day at most. That
/// the server is still there is TCP's keepalives' to find out.
constexpr std::chrono::hours kCheckpointTimeout(25);

/// What broke off in the middle of a copy can only be done again.
Error with_way_on(Error error) {
  if (error.code == ErrorCode::kConnect && error.hint.empty())
    error.hint = "The connection broke off. Look into the server's log, and run this again when it is up.";
  return error;
}

}  // namespace

Fetch::Fetch(const CloneOptions& options, const CloneEnvironment& environment)
    : options_(options),
      environment_(environment),
      files_(environment.files),
      reporter_(environment.reporter),
      state_(std::make_unique<StagedClone::State>(StagedClone::State{options, environment})) {}

env::Wait Fetch::wait(base::Clock::duration timeout) const {
  return env::Wait::for_at_most(timeout, &environment_.stop);
}

TargetRules Fetch::target_rules(OnRunningServer on_running_server) const {
  TargetRules rules;
  rules.on_data_directory = options_.replace ? OnDataDirectory::kReplace : OnDataDirectory::kRefuse;
  rules.on_running_server = on_running_server;
  if (backup_connection_) rules.source = source_.identity.system_id;
  return rules;
}

// As late as can be: until the copy is known to have room, and its slot to be there, nothing is stopped.
Result<void> Fetch::stop_server() {
  if (!target_.running_server) return base::ok();
  TRY(options_.stop_server());
  state_->server_was_stopped = true;
  target_ = TRY(inspect(OnRunningServer::kRefuse));
  return base::ok();
}

// ---------------------------------------------------------------- slots and staging

// The named slot of a standby is not touched before the copy is complete: were it moved and the copy failed,
// the standby that still uses it could not go on. Until then a temporary slot holds the WAL.
Result<void> Fetch::prepare_wal() {
  if (!streams_wal()) return base::ok();
  wal_connection_ = TRY(connect_to_source(options_, SourceUse::kWal, environment_.stop));
  const auto identity = TRY(wal_connection_->identify_system(wait(kCommandTimeout)));
  if (identity.system_id != source_.identity.system_id || identity.timeline != source_.identity.timeline) {
    return Error(ErrorCode::kPrecondition, "two connections to the server reached different systems",
                 "Give one host, not a list or a name with several addresses.");
  }
  return target_.running_server ? base::ok() : try_named_slot();
}

Result<void> Fetch::try_named_slot() {
  if (!streams_wal() || options_.slot_use == SlotUse::kCreate || !options_.slot) return base::ok();
  const client::BackupPosition here{source_.identity.wal_position, source_.identity.timeline};
  const auto attempt = [&] {
    return try_slot(*wal_connection_, *options_.slot, here, client::ReserveWal::kNo, wait(kCommandTimeout));
  };
  // Nobody else's is waited for.
  return state_->server_was_stopped ? when_slot_is_free(attempt, wait(kSlotReleaseTimeout)) : attempt();
}

/// Those that an earlier run made are this one's as well.
std::vector<std::string> Fetch::login_files() const {
  std::vector<std::string> names = options_.login_files;
  if (!taken_up_) return names;
  for (const std::string& name : taken_up_->copy->login_files)
    if (std::ranges::count(names, name) == 0) names.push_back(name);
  return names;
}

Result<void> Fetch::make_staging() {
  Staging::Options options;
  options.target = target_.path;
  options.placing = target_.placing();
  options.mounted_entries = target_.mounted_entries;
  options.old_links = TRY(old_links_of(files_, target_));
  options.move_old_to = options_.move_old_to;
  options.rules = target_rules(OnRunningServer::kRefuse);
  options.modes = source_.modes;
  options.sync = sync_files();
  if (options_.wal_directory) options.wal_directory = env::absolute_path(*options_.wal_directory);
  if (agent_) {
    options.copy = JournalCopy{.system_id = source_.identity.system_id,
                               .wal_directory = options.wal_directory,
                               .begun = taken_up_ ? taken_up_->copy->begun : time_for_name(),
                               .source = conninfo_without_secrets(backup_connection_->connection()),
                               .slot = options_.slot,
                               .login_files = login_files()};
    options.taken_up = taken_up_;
  }
  state_->staging = TRY(Staging::create(files_, std::move(options)));
  state_->is_resumable = agent_ != nullptr;
  return base::ok();
}

Result<void> Fetch::create_slots() {
  if (!streams_wal() || options_.slot_use == SlotUse::kNone) return base::ok();
  if (options_.slot_use == SlotUse::kTemporary) return create_temporary_slot();
  if (taken_up_ && taken_up_->slot) return take_up_own_slot(taken_up_->slot->name);
  const std::string& name = *options_.slot;
  const client::BackupPosition here{source_.identity.wal_position, source_.identity.timeline};
  const auto tried = try_slot(*wal_connection_, name, here, client::ReserveWal::kNo, wait(kCommandTimeout));
  if (!tried && tried.error().sqlstate.empty()) return tried;  // no answer
  const JournalSlot slot{name, source_.identity.system_id,
                         conninfo_without_secrets(backup_connection_->connection())};
  // Noted before it is there: a run that is killed in between leaves none that nobody knows of.
  const bool is_noted = !tried && tried.error().sqlstate == kSlotUndefined;
  if (is_noted) TRY(state_->staging->note_slot(slot));
  if (auto created = wal_connection_->create_physical_slot({.name = name}, wait(kCommandTimeout)); !created) {
    if (!is_noted) return created;
    state_->slot_is_unsure = created.error().sqlstate.empty();
    if (state_->slot_is_unsure) {
      state_->created_slot = name;
    } else if (auto forgotten = state_->staging->forget_slot(); !forgotten) {
      reporter_.warn(forgotten.error().message, "The next run may look for a slot that is not there.");
    }
    return created;
  }
  state_->created_slot = name;
  if (!is_noted) TRY(state_->staging->note_slot(slot));  // another's of that name has just gone
  stream_slot_ = name;
  state_->facts.slot_was_created = true;
  reporter_.detail(fmt::format("created replication slot \"{}\"", name));
  return base::ok();
}

Result<void> Fetch::create_temporary_slot() {
  // The server's process number tells clones on different hosts apart; in containers ours are often equal.
  client::NewSlot slot{.name = fmt::format("standfast_clone_{}", wal_connection_->connection().backend_pid()),
                       .persistence = client::SlotPersistence::kTemporary};
  auto created = wal_connection_->create_physical_slot(slot, wait(kCommandTimeout));
  if (created) {
    reporter_.detail(fmt::format("created temporary replication slot \"{}\"", slot.name));
    stream_slot_ = slot.name;
    hands_over_ = options_.slot.has_value();
    return base::ok();
  }
  if (!options_.slot || created.error().sqlstate != kAllSlotsInUse) return created;
  // No slot is free. The named one then holds the WAL itself, from here on, unless what runs here uses it.
  TRY(stop_server());
  reporter_.detail(
      fmt::format("no replication slot is free: \"{}\" is used from the beginning", *options_.slot));
  stream_slot_ = options_.slot;
  const client::BackupPosition here{source_.identity.wal_position.segment_start(source_.wal_segment_bytes),
                                    source_.identity.timeline};
  return try_slot(*wal_connection_, *options_.slot, here, client::ReserveWal::kYes, wait(kCommandTimeout));
}

// ---------------------------------------------------------------- the backup begins

Result<void> Fetch::begin_backup() {
  reporter_.info(
      options_.checkpoint == Checkpoint::kFast
          ? fmt::format("waiting for a checkpoint of the {}", source_word())
          : fmt::format("waiting for the {}'s next checkpoint to complete (-c fast makes it do one "
                        "at once)",
                        source_word()));
  TRY(agent_ ? begin_agent_backup() : begin_base_backup());
  return take_over_start();
}

Result<void> Fetch::begin_base_backup() {
  client::BaseBackupOptions backup;
  backup.label = options_.label;
  backup.checkpoint = options_.checkpoint == Checkpoint::kFast ? client::BackupCheckpoint::kFast
                                                               : client::BackupCheckpoint::kSpread;
  backup.include_wal = options_.wal == WalMethod::kFetch;
  backup.wait_for_archiving = options_.wal == WalMethod::kNone;
  // It is the server that checks, and it refuses what it finds.
  backup.verify_checksums =
      options_.verify_checksums && options_.agent.damaged_pages == DamagedPages::kRefused;
  backup.max_rate_bytes_per_second = options_.max_rate_bytes_per_second;
  start_ = TRY(backup_connection_->begin_base_backup(backup, wait(kCheckpointTimeout)));
  if (std::ranges::count_if(start_.tablespaces, [](const auto& t) { return !t.oid; }) != 1)
    return Error(ErrorCode::kProtocol, "the server does not send exactly one data directory");
  return base::ok();
}

Result<void> Fetch::take_over_start() {
  if (start_.position.timeline != source_.identity.timeline) {
    return Error(
        ErrorCode::kPrecondition, "the server's timeline changed while the copy began",
        source_.is_standby
            ? "The standby has just begun to follow another timeline. Run CHECKPOINT on its primary, "
              "and this again."
            : "It was promoted just now. Run this again.");
  }
  CloneFacts& facts = state_->facts;
  facts.system_id = source_.identity.system_id;
  facts.server_version = source_.version;
  facts.source_is_standby = source_.is_standby;
  facts.timeline = start_.position.timeline;
  facts.start_lsn = start_.position.lsn;
  facts.slot = options_.slot;
  facts.tablespaces = start_.tablespaces.size() - 1;
  std::uint64_t total = 0;
  for (const auto& tablespace : start_.tablespaces) total += tablespace.size_bytes.value_or(0);
  if (total > 0) total_bytes_ = total;
  reporter_.detail(fmt::format("checkpoint completed; WAL start point: {} on timeline {}",
                               facts.start_lsn.to_string(), facts.timeline.value()));
  return place_tablespaces();
}

Result<std::string> Fetch::mapped_location(const pg::BackupTablespace& tablespace) const {
  const std::string location = env::absolute_path(tablespace.location);
  const auto mapping =
      std::ranges::find_if(options_.tablespace_mappings, [&](const auto& m) { return m.from == location; });
  return mapping == options_.tablespace_mappings.end() ? location : mapping->to;
}

/// In a container of its own a server of this host is not seen, but its folders may well be.
Result<void> Fetch::refuse_sources_own(const pg::BackupTablespace& tablespace,
                                       const std::string& place) const {
  const std::string location = env::absolute_path(tablespace.location);
  const bool is_mapped = std::ranges::any_of(options_.tablespace_mappings,
                                             [&](const auto& mapping) { return mapping.from == location; });
  if (!source_.is_on_this_host || is_mapped || !TRY(files_.inspect_following(place))) return base::ok();
  if (TRY(env::is_empty_directory(files_, place))) return base::ok();
  return refuse(
      fmt::format("the location of tablespace {}, \"{}\", is the source's own: it runs on this host",
                  *tablespace.oid, place),
      fmt::format("Give the copy of it another place: -T OLDDIR=NEWDIR. If that address is the end of a "
                  "tunnel to another host, -T {}={} says that it is meant.",
                  location, location));
}

Result<void> Fetch::place_tablespaces() {
  for (const auto& mapping : options_.tablespace_mappings) {
    const bool used = std::ranges::any_of(start_.tablespaces, [&](const auto& tablespace) {
      return tablespace.oid && env::absolute_path(tablespace.location) == mapping.from;
    });
    if (!used)
      reporter_.warn(fmt::format("no tablespace lies in \"{}\"", mapping.from),
                     "The mapping of -T is not used.");
  }
  TRY(check_room());
  for (const pg::BackupTablespace& tablespace : start_.tablespaces) {
    if (!tablespace.oid) continue;
    const std::uint32_t oid = *tablespace.oid;
    if (tablespace.location.empty() || tablespace.location[0] != '/') {
      // In place: a folder of that name in the data directory.
      const std::string place = fmt::format("pg_tblspc/{}", oid);
      if (tablespace.location != place)
        return Error(ErrorCode::kProtocol,
                     fmt::format("tablespace {} has the location \"{}\"", oid, tablespace.location));
      tablespaces_[oid] = {state_->staging->data_folder() + "/" + place, ""};
      continue;
    }
    const std::string place = TRY(mapped_location(tablespace));
    TRY(refuse_sources_own(tablespace, place));
    tablespaces_[oid] = TRY(state_->staging->add_tablespace(oid, place));
  }
  return base::ok();
}

// Each disk must hold what goes there. A folder that does not exist yet will be on its parent's.
Result<void> Fetch::check_room() const {
  RoomNeeds room(files_);
  // By the folder that stays, not by what is made in it: that is gone when the user reads of it.
  const auto disk_of = [&](const std::string& entry) {
    const auto& elsewhere = state_->staging->entry_folders();
    if (const auto found = elsewhere.find(entry); found != elsewhere.end())
      return env::parent_of(env::parent_of(found->second));
    return target_.placing() == Placing::kInside ? target_.path : env::parent_of(target_.path);
  };
  // Nearly all of a data directory is in its folder base, which may be a disk of its own.
  for (const auto& tablespace : start_.tablespaces) {
    const bool outside = tablespace.oid && tablespace.location.starts_with('/');
    TRY(room.add(outside ? TRY(mapped_location(tablespace)) : disk_of("base"),
                 tablespace.size_bytes.value_or(0)));
  }
  if (options_.wal != WalMethod::kNone)
    TRY(room.add(disk_of("pg_wal"), kWalReserveSegments * source_.wal_segment_bytes));
  // What a copy that goes on has there already.
  if (taken_up_) {
    for (const std::string& folder : taken_up_->folders)
      if (TRY(files_.inspect(folder))) TRY(room.spare(folder, TRY(bytes_below(files_, folder))));
  }
  return clone::check_room(
      TRY(room.disks()), "the copy",
      target_.kind == TargetKind::kDataDirectory
          ? "The old data directory stays until the copy is in place. Make room for both, or give another "
            "directory."
          : "Make room there, or give another directory.");
}

// What the server names is below these folders and nowhere else, even if somebody changes them meanwhile.
Result<void> Fetch::hold_folders() {
  const Staging& staging = *state_->staging;
  std::vector<std::string> folders{staging.data_folder()};
  const auto add = [&folders, &staging](const std::string& folder) {
    if (!env::is_same_or_inside(folder, staging.data_folder())) folders.push_back(folder);
  };
  add(staging.wal_folder());
  for (const auto& [entry, folder] : staging.entry_folders()) add(folder);
  for (const auto& [oid, place] : tablespaces_) add(place.folder);
  beneath_ = TRY(env::file_system_beneath(folders));
  return base::ok();
}

Result<void> Fetch::start_wal() {
  if (!streams_wal()) return base::ok();
  WalStream::Options options;
  options.slot = stream_slot_;
  options.start = start_.position.lsn;
  options.timeline = start_.position.timeline;
  options.segments.folder = state_->staging->wal_folder();
  options.segments.timeline = start_.position.timeline;
  options.segments.segment_bytes = source_.wal_segment_bytes;
  options.segments.file_mode = source_.modes.file();
  options.left = left();
  options.segments.durability = options_.sync ? store::Durability::kSync : store::Durability::kNone;
  wal_ = std::make_unique<WalStream>(*beneath_, *std::move(wal_connection_), std::move(options));
  wal_connection_.reset();
  return wal_->start(wait(kCommandTimeout));
}

// Once the copy is in place the named slot keeps what the new standby will ask for first.
void Fetch::keep_for_hand_over() {
  if (!hands_over_) return;
  state_->hands_over_at = {
      hand_over_position(state_->facts.stop_lsn, wal_->acknowledged(), source_.wal_segment_bytes),
      state_->facts.timeline};
  state_->wal_connection = std::move(wal_connection_);
}

void Fetch::goes_on_after(const Fetch& earlier) {
  state_->server_was_stopped = earlier.state_->server_was_stopped;
  state_->stopwatch = earlier.state_->stopwatch;
}

Result<StagedClone> Fetch::run(const Claim& claim) {
  state_->options.target = claim.target();
  const auto steps = [this, &claim]() -> Result<void> {
    TRY(end_interrupted_placement(claim));
    TRY(look());
    TRY(choose_way());
    TRY(remove_what_a_killed_run_left());
    TRY(prepare_wal());
    look_for_left_slot();
    TRY(make_staging());
    TRY(create_slots());
    TRY(begin_backup());
    if (target_.running_server) {
      // Perhaps it is what uses the slot.
      TRY(stop_server());
      TRY(try_named_slot());
    }
    TRY(hold_folders());
    TRY(start_wal());
    TRY(agent_ ? copy_from_the_agent() : transfer());
    TRY(finish_wal());
    TRY(agent_ ? finish_agent_copy() : check_against_manifest());
    TRY(write_settings());
    TRY(agent_ ? place_control_file(*beneath_, agent_->copied(), sync_files()) : sync_folders());
    if (environment_.stop.is_set()) return env::cancelled_error();
    keep_for_hand_over();
    return base::ok();
  };
  auto done = steps();
  if (!done) {
    // The connections go first: a slot cannot be dropped while one of them uses it.
    wal_.reset();
    pool_.reset();
    wal_connection_.reset();
    backup_connection_.reset();
    agent_.reset();
    Error error = std::move(done).error();
    if (source_.is_standby) error = as_standby_error(std::move(error), left());
    return environment_.stop.is_set() ? env::cancelled_error() : with_way_on(std::move(error));
  }
  state_->facts.elapsed = state_->stopwatch.elapsed();
  return StagedClone(std::move(state_));
}

}  // namespace standfast::clone
