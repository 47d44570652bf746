#include "pg/client/replication_connection.h"

#include <charconv>

#include <fmt/format.h>

#include "pg/format/sql_text.h"
#include "pg/format/wal_file.h"

namespace standfast::client {

using base::Error;
using base::ErrorCode;
using base::Result;

// ---------------------------------------------------------------- statements

namespace {

/// As the replication grammar reads a string: quotes doubled, a backslash is itself (repl_scanner.l).
std::string quoted(std::string_view text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'') result += '\'';
    result += c;
  }
  return result + "'";
}

std::string kilobytes(std::uint64_t bytes) {
  return std::to_string(bytes >> 10U);
}

std::string base_backup_words(const BaseBackupOptions& options, pg::Version version) {
  std::string words = "BASE_BACKUP LABEL " + quoted(options.label) + " PROGRESS";
  if (options.checkpoint == BackupCheckpoint::kFast) words += " FAST";
  if (options.include_wal) words += " WAL";
  if (!options.wait_for_archiving) words += " NOWAIT";
  if (options.max_rate_bytes_per_second)
    words += " MAX_RATE " + kilobytes(*options.max_rate_bytes_per_second);
  if (!options.verify_checksums) words += " NOVERIFY_CHECKSUMS";
  if (options.manifest && version.has_backup_manifest())
    words += " MANIFEST 'yes' MANIFEST_CHECKSUMS 'CRC32C'";
  return words;
}

std::string base_backup_option_list(const BaseBackupOptions& options) {
  std::string list = "BASE_BACKUP ( LABEL " + quoted(options.label) + ", PROGRESS";
  list += options.checkpoint == BackupCheckpoint::kFast ? ", CHECKPOINT 'fast'" : ", CHECKPOINT 'spread'";
  if (options.include_wal) list += ", WAL";
  if (!options.wait_for_archiving) list += ", WAIT 0";
  if (options.max_rate_bytes_per_second)
    list += ", MAX_RATE " + kilobytes(*options.max_rate_bytes_per_second);
  if (!options.verify_checksums) list += ", VERIFY_CHECKSUMS 0";
  if (options.manifest) list += ", MANIFEST 'yes', MANIFEST_CHECKSUMS 'CRC32C'";
  return list + " )";
}

}  // namespace

std::string base_backup_statement(const BaseBackupOptions& options, pg::Version version) {
  return version.base_backup_takes_option_list() ? base_backup_option_list(options)
                                                 : base_backup_words(options, version);
}

std::string create_slot_statement(const NewSlot& slot, pg::Version version) {
  std::string text = "CREATE_REPLICATION_SLOT " + pg::quote_identifier(slot.name);
  if (slot.persistence == SlotPersistence::kTemporary) text += " TEMPORARY";
  text += " PHYSICAL";
  if (slot.reserve == ReserveWal::kYes) {
    text += version.create_slot_takes_option_list() ? " (RESERVE_WAL)" : " RESERVE_WAL";
  }
  return text;
}

std::string start_replication_statement(const StartReplication& start) {
  std::string text = "START_REPLICATION ";
  if (start.slot) text += "SLOT " + pg::quote_identifier(*start.slot) + " ";
  return text + fmt::format("{} TIMELINE {}", start.start.to_string(), start.timeline.value());
}

const std::vector<std::pair<std::string, std::string>>& link_watch_parameters() {
  static const std::vector<std::pair<std::string, std::string>> parameters = {
      {"keepalives", "1"},       {"keepalives_idle", "10"},     {"keepalives_interval", "5"},
      {"keepalives_count", "3"}, {"tcp_user_timeout", "25000"},
  };
  return parameters;
}

// ---------------------------------------------------------------- connection

namespace {

Error misshapen(std::string_view what) {
  return {ErrorCode::kProtocol, fmt::format("the server's answer to {} is not understood", what)};
}

/// A value of an answer whose shape is the server's choice.
std::optional<std::string> cell(const Rows& rows, int row, int column) {
  if (row >= rows.count() || column >= rows.column_count() || rows.is_null(row, column)) return std::nullopt;
  return std::string(rows.text(row, column));
}

template <typename T>
std::optional<T> parsed(const std::optional<std::string>& text) {
  return text ? T::parse(*text) : std::nullopt;
}

template <typename T>
std::optional<T> parsed_number(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  T value{};
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return value;
}

}  // namespace

Result<ReplicationConnection> ReplicationConnection::open(const ConnectOptions& options,
                                                          const env::Wait& wait) {
  ConnectOptions all;
  all.password = options.password;
  all.expand_dbname = options.expand_dbname;
  all.parameters = link_watch_parameters();
  all.parameters.insert(all.parameters.end(), options.parameters.begin(), options.parameters.end());
  all.set("replication", "true");
  // Paths come as they are on the disk: no one encoding is theirs.
  all.set("client_encoding", "SQL_ASCII");
  // A physical connection has no database; this is the name that .pgpass knows it by.
  all.set("dbname", "replication");
  Connection connection = TRY(Connection::open(all, wait));
  const pg::Version version = connection.server_version();
  if (!version.is_supported()) {
    const bool old = version.major() < pg::Version::kOldestMajor;
    return Error(ErrorCode::kVersion,
                 fmt::format("the server's version {} is too {}", version.to_string(), old ? "old" : "new"),
                 fmt::format("Standfast works with PostgreSQL {} to {}.", pg::Version::kOldestMajor,
                             pg::Version::kNewestMajor));
  }
  return ReplicationConnection(std::move(connection), version);
}

Result<SystemIdentity> ReplicationConnection::identify_system(const env::Wait& wait) {
  const Rows rows = TRY(connection_.simple_query("IDENTIFY_SYSTEM", wait));
  const auto system_id = parsed<pg::SystemId>(cell(rows, 0, 0));
  const auto timeline = parsed<pg::TimelineId>(cell(rows, 0, 1));
  const auto position = parsed<pg::Lsn>(cell(rows, 0, 2));
  if (!system_id || !timeline || !position) return misshapen("IDENTIFY_SYSTEM");
  return SystemIdentity{*system_id, *timeline, *position};
}

Result<std::string> ReplicationConnection::show(const std::string& setting, const env::Wait& wait) {
  const Rows rows = TRY(connection_.simple_query("SHOW " + setting, wait));
  const auto value = cell(rows, 0, 0);
  if (!value) return misshapen("SHOW " + setting);
  return *value;
}

Result<std::uint64_t> ReplicationConnection::wal_segment_bytes(const env::Wait& wait) {
  const std::string shown = TRY(show("wal_segment_size", wait));
  const auto bytes = pg::parse_shown_bytes(shown);
  if (!bytes || !pg::is_valid_wal_segment_size(*bytes)) return misshapen("SHOW wal_segment_size");
  return *bytes;
}

Result<std::string> ReplicationConnection::timeline_history(pg::TimelineId timeline, const env::Wait& wait) {
  const Rows rows = TRY(connection_.simple_query(fmt::format("TIMELINE_HISTORY {}", timeline.value()), wait));
  const auto name = cell(rows, 0, 0);
  auto content = cell(rows, 0, 1);
  if (!name || !content || *name != pg::timeline_history_name(timeline)) return misshapen("TIMELINE_HISTORY");
  return *std::move(content);
}

// ---------------------------------------------------------------- slots

Result<std::optional<SlotState>> ReplicationConnection::read_slot(const std::string& name,
                                                                  const env::Wait& wait) {
  if (!version_.has_read_replication_slot()) return std::optional<SlotState>();
  const Rows rows =
      TRY(connection_.simple_query("READ_REPLICATION_SLOT " + pg::quote_identifier(name), wait));
  if (!cell(rows, 0, 0)) return std::optional<SlotState>();
  return std::optional(SlotState{parsed<pg::Lsn>(cell(rows, 0, 1)).value_or(pg::Lsn()),
                                 parsed<pg::TimelineId>(cell(rows, 0, 2))});
}

Result<void> ReplicationConnection::create_physical_slot(const NewSlot& slot, const env::Wait& wait) {
  auto created = connection_.execute(create_slot_statement(slot, version_), wait);
  if (created) return created;
  Error error = std::move(created).error();
  if (error.sqlstate == "42710") {
    error.hint = fmt::format(
        "Leave -C (--create-slot) out to use it as it is, name another one with -S, or drop it on the "
        "primary: SELECT pg_drop_replication_slot({}).",
        pg::quote_literal(slot.name));
  } else if (error.sqlstate == "53400") {
    error.hint =
        "Raise max_replication_slots on the server (it needs a restart), or drop a slot nobody uses.";
  }
  return error;
}

Result<void> ReplicationConnection::drop_slot(const std::string& name, const env::Wait& wait, DropSlot when) {
  const std::string statement = "DROP_REPLICATION_SLOT " + pg::quote_identifier(name);
  return connection_.execute(when == DropSlot::kWhenFree ? statement + " WAIT" : statement, wait);
}

// ---------------------------------------------------------------- streaming

Result<void> ReplicationConnection::start_replication(const StartReplication& start, const env::Wait& wait) {
  const auto answer = TRY(connection_.begin_copy_both(start_replication_statement(start), wait));
  if (answer.kind != Connection::ResultKind::kCopyBoth) return misshapen("START_REPLICATION");
  return base::ok();
}

Result<std::optional<NextTimeline>> ReplicationConnection::start_replication_or_end(
    const StartReplication& start, const env::Wait& wait) {
  const auto answer = TRY(connection_.begin_copy_both(start_replication_statement(start), wait));
  if (answer.kind == Connection::ResultKind::kCopyBoth) return std::optional<NextTimeline>();
  if (answer.kind != Connection::ResultKind::kRows) return misshapen("START_REPLICATION");
  return std::optional(TRY(take_next_timeline(*answer.rows, wait)));
}

Result<NextTimeline> ReplicationConnection::take_next_timeline(const Rows& rows, const env::Wait& wait) {
  const auto timeline = parsed<pg::TimelineId>(cell(rows, 0, 0));
  const auto starts_at = parsed<pg::Lsn>(cell(rows, 0, 1));
  while (TRY(connection_.next_result(wait)).kind != Connection::ResultKind::kNone) {
  }
  if (!timeline || !starts_at) return misshapen("START_REPLICATION");
  return NextTimeline{*timeline, *starts_at};
}

Result<std::optional<NextTimeline>> ReplicationConnection::read_end_of_stream(const env::Wait& wait) {
  auto answer = TRY(connection_.next_result(wait));
  if (answer.kind == Connection::ResultKind::kCopyBoth) {
    TRY(connection_.send_copy_end(wait));
    answer = TRY(connection_.next_result(wait));
  }
  if (answer.kind == Connection::ResultKind::kRows) {
    return std::optional(TRY(take_next_timeline(*answer.rows, wait)));
  }
  // It ended the whole command, and closes the connection next.
  return std::optional<NextTimeline>();
}

Result<void> ReplicationConnection::end_replication(const env::Wait& wait) {
  TRY(connection_.send_copy_end(wait));
  while (true) {
    const auto message = TRY(connection_.receive_copy(wait));
    if (message.event == Connection::CopyEvent::kEnd) break;
    if (message.event == Connection::CopyEvent::kTimeout || wait.deadline.passed()) {
      connection_.close();
      return Error(ErrorCode::kTimeout, "the server did not end the WAL stream in time");
    }
  }
  while (TRY(connection_.next_result(wait)).kind != Connection::ResultKind::kNone) {
  }
  return base::ok();
}

// ---------------------------------------------------------------- base backup

Result<BackupPosition> ReplicationConnection::expect_position(const env::Wait& wait) {
  const auto answer = TRY(connection_.next_result(wait));
  if (answer.kind != Connection::ResultKind::kRows) return misshapen("BASE_BACKUP");
  const auto lsn = parsed<pg::Lsn>(cell(*answer.rows, 0, 0));
  const auto timeline = parsed<pg::TimelineId>(cell(*answer.rows, 0, 1));
  if (!lsn || !timeline) return misshapen("BASE_BACKUP");
  return BackupPosition{*lsn, *timeline};
}

Result<BackupStart> ReplicationConnection::begin_base_backup(const BaseBackupOptions& options,
                                                             const env::Wait& wait) {
  TRY(connection_.send_query(base_backup_statement(options, version_), wait));
  BackupStart start;
  start.position = TRY(expect_position(wait));
  const auto answer = TRY(connection_.next_result(wait));
  if (answer.kind != Connection::ResultKind::kRows) return misshapen("BASE_BACKUP");
  const Rows& rows = *answer.rows;
  for (int row = 0; row < rows.count(); ++row) {
    pg::BackupTablespace tablespace;
    if (const auto oid = cell(rows, row, 0)) {
      tablespace.oid = parsed_number<std::uint32_t>(oid);
      if (!tablespace.oid) return misshapen("BASE_BACKUP");
    }
    tablespace.location = cell(rows, row, 1).value_or("");
    if (const auto kilobytes_text = cell(rows, row, 2)) {
      const auto size = parsed_number<std::uint64_t>(kilobytes_text);
      if (!size || *size > (UINT64_MAX >> 10U)) return misshapen("BASE_BACKUP");
      tablespace.size_bytes = *size << 10U;
    }
    start.tablespaces.push_back(std::move(tablespace));
  }
  return start;
}

Result<void> ReplicationConnection::begin_backup_copy(const env::Wait& wait) {
  const auto answer = TRY(connection_.next_result(wait));
  if (answer.kind != Connection::ResultKind::kCopyOut) return misshapen("BASE_BACKUP");
  return base::ok();
}

Result<BackupPosition> ReplicationConnection::finish_base_backup(const env::Wait& wait) {
  const BackupPosition end = TRY(expect_position(wait));
  while (TRY(connection_.next_result(wait)).kind != Connection::ResultKind::kNone) {
  }
  return end;
}

}  // namespace standfast::client
