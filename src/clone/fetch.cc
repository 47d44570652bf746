#include "clone/fetch.h"

#include <algorithm>

#include <fmt/format.h>

#include "clone/manifest_check.h"
#include "clone/recovery_settings.h"
#include "pg/format/manifest.h"
#include "pg/format/sql_text.h"

namespace standfast::clone {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// A spread checkpoint takes checkpoint_completion_target of checkpoint_timeout, which is a day at most. That
/// the server is still there is TCP's keepalives' to find out.
constexpr std::chrono::hours kCheckpointTimeout(25);
/// Waiting until the last WAL is archived, for a copy without streamed WAL; the server warns each minute.
constexpr std::chrono::hours kArchivingTimeout(24);
/// A server that is there but says nothing while it has files to send.
constexpr base::Seconds kSilenceTimeout(300);
/// How soon the receiving thread sees that another one failed.
constexpr base::Milliseconds kSlice(250);
/// A server that was just stopped, or the walsender of a run that was killed, holds its slot a moment longer.
constexpr base::Seconds kSlotReleaseTimeout(10);
constexpr base::Milliseconds kSlotRetryInterval(200);
constexpr std::size_t kMaxLabelBytes = 1024;
/// Room for WAL that comes while the copy is made, in segments; it cannot be known before.
constexpr std::uint64_t kWalReserveSegments = 4;

Error usage(std::string message, std::string hint) {
  return {ErrorCode::kUsage, std::move(message), std::move(hint)};
}

/// The application_name of a connection string, a service or PGAPPNAME, as pg_basebackup takes it over too.
std::optional<std::string> name_said_to_libpq(const client::Connection& connection) {
  const std::string name = connection.native_conninfo_value("application_name");
  return name.empty() ? std::nullopt : std::optional(name);
}

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
      state_(std::make_unique<StagedClone::State>(StagedClone::State{options, environment})) {
  state_->options.target = env::absolute_path(options.target);
}

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

// ---------------------------------------------------------------- before anything is changed

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
  return base::ok();
}

Result<void> Fetch::look() {
  TRY(check_options());
  // A server that runs in the target may be stopped by now or later; it is looked at again before that.
  const auto on_running = options_.stop_server ? OnRunningServer::kReport : OnRunningServer::kRefuse;
  target_ = TRY(inspect_target(files_, options_.target, target_rules(on_running)));
  TRY(read_stale_journal(files_, target_.path));
  if (options_.wal_directory && !TRY(read_stale_journal(files_, target_.path)))
    TRY(inspect_outside_folder(files_, *options_.wal_directory, target_.path, "--waldir"));
  auto connection = TRY(connect_to_source(options_, SourceUse::kBackup, environment_.stop));
  source_ = TRY(look_at_source(connection, options_, environment_.stop));
  backup_connection_ = std::move(connection);
  target_ = TRY(inspect_target(files_, options_.target, target_rules(on_running)));
  reporter_.detail(fmt::format("connected to PostgreSQL {}, system identifier {}, timeline {}, WAL at {}",
                               source_.version.to_string(), source_.identity.system_id.to_string(),
                               source_.identity.timeline.value(), source_.identity.wal_position.to_string()));
  return base::ok();
}

Result<ClonePlan> Fetch::plan() {
  TRY(look());
  ClonePlan plan;
  plan.system_id = source_.identity.system_id;
  plan.server_version = source_.version;
  plan.timeline = source_.identity.timeline;
  plan.wal_position = source_.identity.wal_position;
  plan.target = target_.path;
  plan.staging = staging_path_of(target_.path);
  if (target_.kind == TargetKind::kDataDirectory) plan.moves_aside_to = aside_path_of(target_.path);
  plan.stops_server = target_.running_server.has_value();
  return plan;
}

// Before anything is asked of the primary: an old directory must come back even if that cannot be reached.
Result<void> Fetch::undo_what_a_killed_run_renamed() {
  const std::string& target = state_->options.target;
  auto journal = TRY(read_stale_journal(files_, target));
  if (!journal) return base::ok();
  switch (TRY(undo_placement(files_, target, *journal))) {
    case PlacementState::kNone:
      return base::ok();
    case PlacementState::kUndone:
      reporter_.info(
          "an interrupted clone was putting its copy in place: what it had renamed is renamed back");
      return base::ok();
    case PlacementState::kPlaced:
      // Its slot belongs to that copy now.
      reporter_.info("an interrupted clone had put its copy in place in \"" + target + "\"");
      for (const auto& entries : journal->placement->entries)
        static_cast<void>(files_.remove_directory(entries.folder));
      return remove_journal(files_, target);
  }
  return base::ok();
}

Result<void> Fetch::remove_what_a_killed_run_left() {
  const auto journal = TRY(read_stale_journal(files_, target_.path));
  if (!journal) return base::ok();
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
    } else if (auto dropped = drop_slot(options_, slot.name)) {
      reporter_.info(fmt::format("dropped the slot \"{}\" of an interrupted clone", slot.name));
    } else if (constexpr std::string_view kUndefined = "42704"; dropped.error().sqlstate != kUndefined) {
      return std::move(dropped).error().with_context(
          fmt::format("the slot \"{}\" of an interrupted clone could not be dropped", slot.name));
    }
  }
  return remove_journal(files_, target_.path);
}

Result<void> Fetch::stop_server() {
  if (!target_.running_server) return base::ok();
  TRY(options_.stop_server());
  state_->server_was_stopped = true;
  target_ = TRY(inspect_target(files_, options_.target, target_rules(OnRunningServer::kRefuse)));
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
  if (options_.slot_use == SlotUse::kCreate || !options_.slot) return base::ok();
  const client::BackupPosition here{identity.wal_position, identity.timeline};
  const env::Wait release = wait(kSlotReleaseTimeout);
  while (true) {
    auto tried =
        try_slot(*wal_connection_, *options_.slot, here, client::ReserveWal::kNo, wait(kCommandTimeout));
    if (tried) return base::ok();
    constexpr std::string_view kInUse = "55006";
    const bool may_be_released = state_->server_was_stopped && tried.error().sqlstate == kInUse;
    if (!may_be_released || release.deadline.passed()) return tried;
    if (env::wait_for(-1, 0, wait(kSlotRetryInterval)) == env::Ready::kStopped) return env::cancelled_error();
  }
}

Result<void> Fetch::make_staging() {
  Staging::Options options;
  options.target = target_.path;
  options.rules = target_rules(OnRunningServer::kRefuse);
  options.modes = source_.modes;
  options.sync = options_.sync ? SyncFiles::kYes : SyncFiles::kNo;
  if (options_.wal_directory) options.wal_directory = env::absolute_path(*options_.wal_directory);
  state_->staging = TRY(Staging::create(files_, std::move(options)));
  return base::ok();
}

Result<void> Fetch::create_slots() {
  if (!streams_wal() || options_.slot_use == SlotUse::kNone) return base::ok();
  if (options_.slot_use == SlotUse::kTemporary) return create_temporary_slot();
  client::NewSlot slot{.name = *options_.slot};
  if (auto created = wal_connection_->create_physical_slot(slot, wait(kCommandTimeout)); !created) {
    Error error = std::move(created).error();
    // Without an answer nobody knows whose slot of that name is there now, so it is not dropped.
    if (error.sqlstate.empty()) {
      error.hint =
          fmt::format("The slot may have been created all the same. If it is there and new, drop it: {}.",
                      drop_statement(slot.name));
    }
    return error;
  }
  state_->created_slot = slot.name;
  stream_slot_ = slot.name;
  state_->facts.slot_was_created = true;
  reporter_.detail(fmt::format("created replication slot \"{}\"", slot.name));
  return state_->staging->note_slot({slot.name, source_.identity.system_id});
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
  constexpr std::string_view kAllInUse = "53400";
  if (!options_.slot || created.error().sqlstate != kAllInUse) return created;
  // No slot is free. The named one then holds the WAL itself, from here on.
  reporter_.detail(
      fmt::format("no replication slot is free: \"{}\" is used from the beginning", *options_.slot));
  stream_slot_ = options_.slot;
  const client::BackupPosition here{source_.identity.wal_position.segment_start(source_.wal_segment_bytes),
                                    source_.identity.timeline};
  return try_slot(*wal_connection_, *options_.slot, here, client::ReserveWal::kYes, wait(kCommandTimeout));
}

// ---------------------------------------------------------------- the backup begins

Result<void> Fetch::begin_backup() {
  client::BaseBackupOptions backup;
  backup.label = options_.label;
  backup.checkpoint = options_.checkpoint == Checkpoint::kFast ? client::BackupCheckpoint::kFast
                                                               : client::BackupCheckpoint::kSpread;
  backup.include_wal = options_.wal == WalMethod::kFetch;
  backup.wait_for_archiving = options_.wal == WalMethod::kNone;
  backup.verify_checksums = options_.verify_checksums;
  backup.max_rate_bytes_per_second = options_.max_rate_bytes_per_second;
  reporter_.info(
      options_.checkpoint == Checkpoint::kFast
          ? "waiting for a checkpoint of the primary"
          : "waiting for the primary's next checkpoint to complete (-c fast makes it do one at once)");
  start_ = TRY(backup_connection_->begin_base_backup(backup, wait(kCheckpointTimeout)));
  if (std::ranges::count_if(start_.tablespaces, [](const auto& t) { return !t.oid; }) != 1)
    return Error(ErrorCode::kProtocol, "the server does not send exactly one data directory");
  if (start_.position.timeline != source_.identity.timeline) {
    return Error(ErrorCode::kPrecondition, "the server's timeline changed while the copy began",
                 "It was promoted just now. Run this again.");
  }
  CloneFacts& facts = state_->facts;
  facts.system_id = source_.identity.system_id;
  facts.server_version = source_.version;
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
    tablespaces_[oid] = TRY(state_->staging->add_tablespace(oid, TRY(mapped_location(tablespace))));
  }
  return base::ok();
}

// Each disk must hold what goes there. A folder that does not exist yet will be on its parent's.
Result<void> Fetch::check_room() const {
  struct Need {
    std::string path;
    std::uint64_t bytes = 0;
  };
  std::map<std::uint64_t, Need> by_device;
  const auto add = [&](std::string path, std::uint64_t bytes) -> Result<void> {
    auto info = TRY(files_.inspect_following(path));
    while (!info && path != "/") {
      path = env::parent_of(path);
      info = TRY(files_.inspect_following(path));
    }
    if (!info) return base::ok();
    Need& need = by_device[info->device];
    need.path = path;
    need.bytes += bytes;
    return base::ok();
  };
  for (const auto& tablespace : start_.tablespaces) {
    const bool outside = tablespace.oid && tablespace.location.starts_with('/');
    TRY(add(outside ? TRY(mapped_location(tablespace)) : env::parent_of(target_.path),
            tablespace.size_bytes.value_or(0)));
  }
  if (options_.wal != WalMethod::kNone)
    TRY(add(options_.wal_directory.value_or(env::parent_of(target_.path)),
            kWalReserveSegments * source_.wal_segment_bytes));
  for (const auto& [device, need] : by_device) {
    const std::uint64_t available = TRY(files_.space(need.path)).available_bytes;
    if (need.bytes <= available) continue;
    return Error(
        ErrorCode::kDiskFull,
        fmt::format("the copy needs {} and the disk of \"{}\" has {} free", base::format_bytes(need.bytes),
                    need.path, base::format_bytes(available)),
        target_.kind == TargetKind::kDataDirectory
            ? "The old data directory stays until the copy is in place. Make room for both, or give another "
              "directory."
            : "Make room there, or give another directory.");
  }
  return base::ok();
}

Result<void> Fetch::start_wal() {
  if (!streams_wal()) return base::ok();
  WalStream::Options options;
  options.slot = stream_slot_;
  options.start = start_.position.lsn.segment_start(source_.wal_segment_bytes);
  options.timeline = start_.position.timeline;
  options.segments.folder = state_->staging->wal_folder();
  options.segments.timeline = start_.position.timeline;
  options.segments.segment_bytes = source_.wal_segment_bytes;
  options.segments.file_mode = source_.modes.file();
  options.segments.durability = options_.sync ? store::Durability::kSync : store::Durability::kNone;
  wal_ = std::make_unique<WalStream>(files_, *std::move(wal_connection_), std::move(options));
  wal_connection_.reset();
  return wal_->start(wait(kCommandTimeout));
}

// ---------------------------------------------------------------- the transfer

namespace {

/// The writer's thread: what the queue gives, through the stream, into files.
Result<void> write_all(StreamQueue& queue, pg::BackupStream& stream, TreeWriter& writer) {
  while (true) {
    std::vector<StreamItem> items = queue.take_all();
    if (items.empty()) break;
    for (StreamItem& item : items) {
      switch (item.kind) {
        case StreamItem::Kind::kBeginCopy:
          TRY(stream.begin_copy());
          break;
        case StreamItem::Kind::kMessage:
          TRY(stream.message(item.message.bytes()));
          item.message = {};
          break;
        case StreamItem::Kind::kEndCopy:
          TRY(stream.end_copy());
          break;
      }
    }
  }
  if (queue.is_closed()) return env::cancelled_error();
  TRY(stream.finish());
  return writer.finish();
}

}  // namespace

Result<void> Fetch::transfer() {
  if (options_.sync) pool_ = std::make_unique<SyncPool>();
  writer_ = std::make_unique<TreeWriter>(
      files_, pool_.get(),
      TreeWriter::Options{state_->staging->data_folder(), state_->staging->wal_folder(), tablespaces_,
                          source_.modes});
  pg::BackupStream::Options stream_options;
  stream_options.protocol = source_.version.base_backup_is_one_typed_stream()
                                ? pg::BackupProtocol::kTypedMessages
                                : pg::BackupProtocol::kCopyPerArchive;
  stream_options.manifest =
      source_.version.has_backup_manifest() ? pg::ManifestExpected::kYes : pg::ManifestExpected::kNo;
  stream_options.tablespaces = start_.tablespaces;
  pg::BackupStream stream(std::move(stream_options), *writer_);

  StreamQueue queue;
  Result<void> written;
  std::thread writer_thread([&] {
    written = write_all(queue, stream, *writer_);
    if (!written) queue.close();
  });
  Result<void> received = receive_backup(queue, stream.copy_count());
  if (received) {
    queue.finish();
  } else {
    queue.close();
  }
  writer_thread.join();
  // When the writer fails the receiver only sees a closed queue, and the other way round.
  const bool writer_failed_first = !written && written.error().code != ErrorCode::kCancelled;
  if (writer_failed_first) return written;
  if (!received) return with_server_warnings(received.error());
  return written;
}

base::Clock::duration Fetch::patience() const {
  if (options_.wal == WalMethod::kNone) return kArchivingTimeout;
  return kSilenceTimeout;
}

Result<void> Fetch::receive_backup(StreamQueue& queue, std::size_t copies) {
  const auto patience = this->patience();
  for (std::size_t i = 0; i < copies; ++i) {
    TRY(backup_connection_->begin_backup_copy(wait(patience)));
    if (i > 0) TRY(pass_on(queue, {StreamItem::Kind::kEndCopy}));
    TRY(pass_on(queue, {StreamItem::Kind::kBeginCopy}));
    TRY(receive_one_copy(queue));
  }
  const client::BackupPosition end = TRY(backup_connection_->finish_base_backup(wait(patience)));
  // A COPY that an error cut off ends like any other; only the result after it tells.
  TRY(pass_on(queue, {StreamItem::Kind::kEndCopy}));
  state_->facts.stop_lsn = end.lsn;
  if (end.timeline != start_.position.timeline) {
    return Error(ErrorCode::kPrecondition, "the server's timeline changed during the copy",
                 "It was promoted meanwhile. Run this again.");
  }
  report_progress();
  reporter_.detail(fmt::format("WAL end point: {}", end.lsn.to_string()));
  return base::ok();
}

Result<void> Fetch::receive_one_copy(StreamQueue& queue) {
  const auto patience = this->patience();
  base::Deadline silence = base::Deadline::after(patience);
  client::Connection& connection = backup_connection_->connection();
  while (true) {
    const auto message = TRY(connection.receive_copy(wait(kSlice)));
    if (wal_ && wal_->has_failed()) return wal_->failure();
    switch (message.event) {
      case client::Connection::CopyEvent::kEnd:
        return base::ok();
      case client::Connection::CopyEvent::kTimeout:
        if (queue.is_closed()) return env::cancelled_error();
        if (silence.passed()) {
          return Error(ErrorCode::kTimeout,
                       fmt::format("the server sent nothing for {}", base::format_duration(patience)),
                       "Look at the server: it may hang on its disk.");
        }
        report_progress();
        break;
      case client::Connection::CopyEvent::kData:
        received_bytes_ += message.data.size();
        constexpr std::uint64_t kMessagesPerReport = 64;
        if (++received_messages_ % kMessagesPerReport == 0) report_progress();
        silence = base::Deadline::after(patience);
        TRY(pass_on(queue, {StreamItem::Kind::kMessage, connection.take_copy()}));
        break;
    }
  }
}

Result<void> Fetch::pass_on(StreamQueue& queue, StreamItem item) {
  while (true) {
    if (environment_.stop.is_set()) return env::cancelled_error();
    switch (queue.push(item, base::Deadline::after(kSlice))) {
      case StreamQueue::Push::kDone:
        return base::ok();
      case StreamQueue::Push::kClosed:
        return env::cancelled_error();
      case StreamQueue::Push::kFull:
        if (wal_ && wal_->has_failed()) return wal_->failure();
        break;
    }
  }
}

void Fetch::report_progress() {
  reporter_.progress({.done_bytes = received_bytes_, .total_bytes = total_bytes_, .activity = "base backup"});
}

/// The server names a file whose pages do not match in a warning, and only says at the end that there was
/// one.
Error Fetch::with_server_warnings(Error error) const {
  std::string said;
  for (const client::Notice& notice : backup_connection_->connection().notices()) {
    if (!notice.is_warning) continue;
    reporter_.warn("the primary says: " + notice.message, "");
    if (said.empty() && notice.message.find("checksum") != std::string::npos) said = notice.message;
  }
  if (error.code == ErrorCode::kDamaged && !said.empty()) {
    error.message += ": " + said;
    error.hint =
        "The primary's own data is damaged. Find out what is on that page and restore it; -k copies without "
        "the check.";
  }
  return error;
}

// ---------------------------------------------------------------- after the last byte

Result<void> Fetch::finish_wal() {
  CloneFacts& facts = state_->facts;
  facts.bytes = writer_->file_bytes();
  facts.files = writer_->received_files().size();
  if (!wal_) return base::ok();
  reporter_.detail("waiting for the WAL up to the end of the backup");
  wal_->set_stop(facts.stop_lsn);
  wal_connection_ = TRY(wal_->finish(environment_.stop));
  facts.wal_bytes = wal_->received_bytes();
  return base::ok();
}

Result<void> Fetch::check_against_manifest() {
  if (!source_.version.has_backup_manifest()) return base::ok();
  reporter_.detail("checking every file against the server's manifest");
  const std::string text = TRY(env::read_whole_file(
      files_, state_->staging->data_folder() + "/backup_manifest", pg::kMaxManifestBytes));
  const CloneFacts& facts = state_->facts;
  TRY(check_manifest(text, writer_->received_files(),
                     {facts.system_id, facts.timeline, facts.start_lsn, facts.stop_lsn}));
  state_->facts.manifest_checked = true;
  return base::ok();
}

Result<void> Fetch::write_settings() {
  if (!options_.write_recovery_settings) return base::ok();
  const client::Connection& connection = backup_connection_->connection();
  StandbyIdentity identity;
  identity.application_name = options_.application_name.value_or(
      name_said_to_libpq(connection).value_or(options_.slot.value_or(host_name())));
  identity.slot = options_.slot;
  const auto passfile = TRY(settle_passfile(files_, connection, source_.identity.system_id,
                                            identity.application_name, target_.path));
  const RecoverySettings settings{primary_conninfo_from(connection.resolved_options(), identity, passfile),
                                  options_.slot};
  return write_recovery_settings(files_, state_->staging->data_folder(), settings, source_.modes);
}

Result<void> Fetch::sync_folders() {
  if (!pool_) return base::ok();
  reporter_.detail("making the last files durable");
  TRY(pool_->finish(environment_.stop));
  const auto& folders = writer_->folders();
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
    if (environment_.stop.is_set()) return env::cancelled_error();
    TRY(files_.sync_directory(*folder));
  }
  return base::ok();
}

// Once the copy is in place the named slot keeps what the new standby will ask for first.
void Fetch::keep_for_hand_over() {
  if (!hands_over_) return;
  state_->hands_over_at = {
      pg::Lsn(state_->facts.stop_lsn.value() - 1).segment_start(source_.wal_segment_bytes),
      state_->facts.timeline};
  state_->wal_connection = std::move(wal_connection_);
}

Result<StagedClone> Fetch::run() {
  const auto steps = [this]() -> Result<void> {
    TRY(undo_what_a_killed_run_renamed());
    TRY(look());
    TRY(remove_what_a_killed_run_left());
    TRY(stop_server());
    TRY(prepare_wal());
    TRY(make_staging());
    TRY(create_slots());
    TRY(begin_backup());
    TRY(start_wal());
    TRY(transfer());
    TRY(finish_wal());
    TRY(check_against_manifest());
    TRY(write_settings());
    TRY(sync_folders());
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
    state_->clean_up();
    Error error = std::move(done).error();
    return environment_.stop.is_set() ? env::cancelled_error() : with_way_on(std::move(error));
  }
  state_->facts.elapsed = state_->stopwatch.elapsed();
  return StagedClone(std::move(state_));
}

}  // namespace standfast::clone
