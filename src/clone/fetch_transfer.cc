// The bytes of a copy: from the server through the queue into files, and what is done with the last of them.
#include <fmt/format.h>

#include "clone/fetch.h"
#include "clone/manifest_check.h"
#include "clone/recovery_settings.h"
#include "pg/format/manifest.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

/// Waiting until the last WAL is archived, for a copy without streamed WAL; the server warns each minute.
constexpr std::chrono::hours kArchivingTimeout(24);
/// A server that is there but says nothing while it has files to send.
constexpr base::Seconds kSilenceTimeout(300);
/// How soon the receiving thread sees that another one failed.
constexpr base::Milliseconds kSlice(250);

/// The application_name of a connection string, a service or PGAPPNAME, as pg_basebackup takes it over too.
std::optional<std::string> name_said_to_libpq(const client::Connection& connection) {
  const std::string name = connection.native_conninfo_value("application_name");
  return name.empty() ? std::nullopt : std::optional(name);
}

}  // namespace

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
      *beneath_, pool_.get(),
      TreeWriter::Options{state_->staging->data_folder(), state_->staging->wal_folder(),
                          state_->staging->entry_folders(), tablespaces_, source_.modes});
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
  TRY(std::move(written));
  state_->facts.bytes = writer_->file_bytes();
  state_->facts.files = writer_->received_files().size();
  return source_.is_standby ? check_control_file_came_last(writer_->received_files()) : base::ok();
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
    reporter_.warn(fmt::format("the {} says: {}", source_word(), notice.message), "");
    if (said.empty() && notice.message.find("checksum") != std::string::npos) said = notice.message;
  }
  if (error.code == ErrorCode::kDamaged && !said.empty()) {
    error.message += ": " + said;
    error.hint = fmt::format(
        "The {}'s own data is damaged. Find out what is on that page and restore it; "
        "--allow-damage copies it as it is.",
        source_word());
  }
  return error;
}

// ---------------------------------------------------------------- after the last byte

Result<void> Fetch::finish_wal() {
  CloneFacts& facts = state_->facts;
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
      *beneath_, state_->staging->data_folder() + "/backup_manifest", pg::kMaxManifestBytes));
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
  return write_recovery_settings(*beneath_, state_->staging->data_folder(), settings, source_.modes);
}

Result<void> Fetch::sync_folders() {
  if (!pool_) return base::ok();
  reporter_.detail("making the last files durable");
  TRY(pool_->finish(environment_.stop));
  const auto& folders = writer_->folders();
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
    if (environment_.stop.is_set()) return env::cancelled_error();
    TRY(beneath_->sync_directory(*folder));
  }
  return base::ok();
}

}  // namespace standfast::clone
