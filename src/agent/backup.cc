#include "agent/backup.h"

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/number.h"

namespace standfast::agent {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

/// object_not_in_prerequisite_state: what pg_backup_start() says of a server that cannot be backed up now.
constexpr std::string_view kNotInThatState = "55000";

Error misshapen(std::string_view what) {
  return {ErrorCode::kProtocol, fmt::format("the server's answer to {} is not understood", what)};
}

Error refused_by_server(Error error) {
  if (error.code == ErrorCode::kSql && error.sqlstate == kNotInThatState) {
    error.code = ErrorCode::kPrecondition;
  }
  return error;
}

/// Timeouts that the server's owner has set are not meant for this; which there are depends on the major. A
/// server that can look for a client that went while a checkpoint was waited for is told to.
constexpr const char* kPrepareSession =
    "SELECT pg_catalog.set_config(name, CASE name WHEN 'client_connection_check_interval' THEN '10s' "
    "ELSE '0' END, false) FROM pg_catalog.pg_settings WHERE name IN ('statement_timeout', "
    "'transaction_timeout', 'idle_session_timeout', 'lock_timeout', 'client_connection_check_interval')";

/// A primary's is that of the checkpoint that the backup has begun with. A standby's backup ends where its
/// recovery must have come to, which may be on a later timeline than its last restartpoint.
constexpr const char* kStartTimeline = "SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()";
constexpr const char* kStopTimeline =
    "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN r.min_recovery_end_timeline ELSE c.timeline_id END "
    "FROM pg_catalog.pg_control_checkpoint() AS c, pg_catalog.pg_control_recovery() AS r";

/// No row where the server has no such setting.
constexpr const char* kStatsFolder =
    "SELECT s.setting, d.setting FROM pg_catalog.pg_settings AS s, pg_catalog.pg_settings AS d "
    "WHERE s.name = 'stats_temp_directory' AND d.name = 'data_directory'";

Result<pg::TimelineId> timeline_of(client::Connection& connection, const char* statement,
                                   const env::Wait& wait) {
  const std::string text = TRY(connection.query_value(statement, wait));
  const auto number = base::parse_number<std::uint32_t>(text);
  if (!number || *number == 0) return misshapen("pg_control_checkpoint()");
  return pg::TimelineId(*number);
}

std::string start_statement(pg::Version version) {
  return version.backup_functions_are_renamed()
             ? "SELECT pg_catalog.pg_backup_start($1, fast => $2::boolean)"
             : "SELECT pg_catalog.pg_start_backup($1, fast => $2::boolean, exclusive => false)";
}

std::string stop_statement(pg::Version version) {
  const std::string call = version.backup_functions_are_renamed()
                               ? "pg_catalog.pg_backup_stop(wait_for_archive => false)"
                               : "pg_catalog.pg_stop_backup(exclusive => false, wait_for_archive => false)";
  return "SELECT lsn, labelfile, spcmapfile FROM " + call;
}

/// Those in places of their own. Some of them may have come after the end, which is no harm.
constexpr const char* kTablespaces =
    "SELECT oid, pg_catalog.pg_tablespace_location(oid) FROM pg_catalog.pg_tablespace "
    "WHERE pg_catalog.pg_tablespace_location(oid) LIKE '/%' ORDER BY oid";

Result<std::vector<Tablespace>> tablespaces_of(client::Connection& connection, const env::Wait& wait) {
  const auto rows = TRY(connection.query(kTablespaces, wait));
  std::vector<Tablespace> found;
  for (int row = 0; row < rows.count(); ++row) {
    const auto oid = base::parse_number<std::uint32_t>(rows.text(row, 0));
    if (!oid) return misshapen("a list of tablespaces");
    found.push_back({.oid = *oid, .location = std::string(rows.text(row, 1))});
  }
  return found;
}

std::string slot_statement(pg::Version version) {
  constexpr std::string_view kHead =
      "CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn() "
      "ELSE pg_catalog.pg_current_wal_lsn() END";
  return fmt::format(
      "SELECT {}, greatest(pg_catalog.pg_wal_lsn_diff({}, s.restart_lsn), 0)::bigint, "
      "(SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'max_slot_wal_keep_size') "
      "FROM pg_catalog.pg_replication_slots AS s WHERE s.slot_name = $1",
      version.has_max_slot_wal_keep_size() ? "s.wal_status" : "'reserved'", kHead);
}

Result<SlotState> slot_of(const client::Rows& rows) {
  SlotState state;
  if (rows.count() == 0) return state;
  const std::string_view status = rows.text(0, 0);
  state.standing = status == "lost"         ? SlotStanding::kLost
                   : status == "unreserved" ? SlotStanding::kUnreserved
                                            : SlotStanding::kReserved;
  state.held_bytes = base::parse_number<std::uint64_t>(rows.text(0, 1)).value_or(0);
  constexpr std::uint64_t kMegabyte = std::uint64_t{1} << 20U;
  state.bound_bytes = base::parse_number<std::uint32_t>(rows.text(0, 2)).value_or(0) * kMegabyte;
  return state;
}

class ServerBracket : public Bracket {
 public:
  ServerBracket(client::Connection connection, BackupStart start)
      : connection_(std::move(connection)), start_(std::move(start)) {}

  const BackupStart& start() const override { return start_; }
  Result<void> check(const env::Wait& wait) override { return connection_.execute("SELECT 1", wait); }
  Result<SlotState> slot(const std::string& name, const env::Wait& wait) override {
    const std::array<std::optional<std::string>, 1> parameters{name};
    return slot_of(TRY(connection_.query(slot_statement(connection_.server_version()), parameters, wait)));
  }
  Result<BackupEnded> end(const env::Wait& wait) override {
    auto ended = stop(wait);
    connection_.close();
    if (!ended) return refused_by_server(std::move(ended).error());
    return ended;
  }

 private:
  Result<BackupEnded> stop(const env::Wait& wait) {
    const auto rows = TRY(connection_.query(stop_statement(connection_.server_version()), wait));
    const auto stop = rows.count() == 1 ? pg::Lsn::parse(rows.text(0, 0)) : std::nullopt;
    if (!stop) return misshapen("the end of a backup");
    const pg::TimelineId timeline = TRY(timeline_of(connection_, kStopTimeline, wait));
    std::vector<Tablespace> tablespaces = TRY(tablespaces_of(connection_, wait));
    return BackupEnded{.stop = *stop,
                       .timeline = timeline,
                       .label_file = std::string(rows.text(0, 1)),
                       .tablespace_map = std::string(rows.text(0, 2)),
                       .tablespaces = std::move(tablespaces)};
  }

  client::Connection connection_;
  BackupStart start_;
};

}  // namespace

std::string stats_temp_folder_of(std::string_view setting, std::string_view data_directory) {
  if (setting.starts_with('/')) {
    if (!setting.starts_with(data_directory)) return {};
    setting.remove_prefix(data_directory.size());
    if (!setting.starts_with('/')) return {};
  }
  while (setting.starts_with('/') || setting.starts_with("./")) {
    setting.remove_prefix(setting.starts_with('/') ? 1 : 2);
  }
  while (setting.ends_with('/')) setting.remove_suffix(1);
  return std::string(setting);
}

Result<std::unique_ptr<Bracket>> begin_bracket(client::Connection connection, const BeginBackup& request,
                                               const env::Wait& wait) {
  TRY(connection.execute(kPrepareSession, wait));
  const std::array<std::optional<std::string>, 2> parameters{
      request.label, request.checkpoint == Checkpoint::kFast ? "true" : "false"};
  const auto rows = connection.query(start_statement(connection.server_version()), parameters, wait);
  if (!rows) return refused_by_server(rows.error());
  const auto start = rows->count() == 1 ? pg::Lsn::parse(rows->text(0, 0)) : std::nullopt;
  if (!start) return misshapen("the start of a backup");
  const pg::TimelineId timeline = TRY(timeline_of(connection, kStartTimeline, wait));
  const auto stats = TRY(connection.query(kStatsFolder, wait));
  BackupStart begun{.start = *start, .timeline = timeline};
  if (stats.count() == 1) begun.stats_temp_folder = stats_temp_folder_of(stats.text(0, 0), stats.text(0, 1));
  return std::unique_ptr<Bracket>(std::make_unique<ServerBracket>(std::move(connection), std::move(begun)));
}

}  // namespace standfast::agent
