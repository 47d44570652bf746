#include "setup/server_facts.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include "base/number.h"
#include "pg/format/conninfo.h"
#include "setup/names.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using std::chrono::milliseconds;

// The flush position and not the insert position: only what is flushed is sent, so only that can lag.
constexpr const char* kOwnPosition = R"(
SELECT pg_is_in_recovery() AS is_in_recovery,
       CASE WHEN pg_is_in_recovery()
            THEN greatest(coalesce(pg_last_wal_receive_lsn(), '0/0'), coalesce(pg_last_wal_replay_lsn(), '0/0'))
            ELSE pg_current_wal_flush_lsn() END AS head,
       CASE WHEN pg_is_in_recovery()
            THEN greatest((SELECT min_recovery_end_timeline FROM pg_control_recovery()),
                          (SELECT timeline_id FROM pg_control_checkpoint()))::text
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int::text END AS timeline,
       (SELECT system_identifier FROM pg_control_system()) AS system_identifier,
       current_user AS role,
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_everything,
       current_setting('cluster_name') AS cluster_name,
       current_setting('synchronous_standby_names') AS synchronous_standby_names)";

constexpr const char* kStandbyPosition = R"(
SELECT pg_last_wal_replay_lsn() AS replay,
       pg_is_wal_replay_paused() AS is_paused,
       (SELECT setting FROM pg_settings WHERE name = 'recovery_min_apply_delay') AS apply_delay_ms,
       (SELECT setting FROM pg_settings WHERE name = 'primary_slot_name') AS slot_name,
       (SELECT setting FROM pg_settings WHERE name = 'primary_conninfo') AS conninfo)";

constexpr const char* kSenders = R"(
SELECT pid, application_name, host(client_addr) AS client_address, state, sent_lsn, write_lsn, flush_lsn,
       replay_lsn, floor(extract(epoch FROM replay_lag) * 1000)::bigint AS replay_lag_ms, sync_state,
       floor(extract(epoch FROM flush_lag) * 1000)::bigint AS flush_lag_ms
FROM pg_stat_replication ORDER BY application_name, pid)";

std::optional<pg::TimelineId> timeline_of(const client::Rows& rows, int row, std::string_view column) {
  const std::optional<std::string> text = rows.get(row, column);
  return text ? pg::TimelineId::parse(*text) : std::nullopt;
}

std::optional<milliseconds> milliseconds_of(const client::Rows& rows, int row, std::string_view column) {
  const std::optional<std::int64_t> count = integer_of(rows, row, column);
  // A standby whose clock is behind the primary's replays what seems to be the future.
  return count ? std::optional(milliseconds(std::max<std::int64_t>(0, *count))) : std::nullopt;
}

Result<void> read_own_position(client::Connection& connection, ServerFacts& facts, const env::Wait& wait) {
  const client::Rows rows = TRY(connection.query(kOwnPosition, wait));
  if (rows.count() != 1) return Error(ErrorCode::kProtocol, "the server does not tell its WAL position");
  facts.is_in_recovery = text_of(rows, 0, "is_in_recovery") == "t";
  facts.head = lsn_of(rows, 0, "head").value_or(pg::Lsn());
  facts.timeline = timeline_of(rows, 0, "timeline");
  // The server prints its identifier as a signed number.
  facts.system_id =
      pg::SystemId(static_cast<std::uint64_t>(integer_of(rows, 0, "system_identifier").value_or(0)));
  facts.role = text_of(rows, 0, "role");
  facts.sees_everything = text_of(rows, 0, "sees_everything") == "t";
  facts.cluster_name = text_of(rows, 0, "cluster_name");
  facts.synchronous_standby_names = text_of(rows, 0, "synchronous_standby_names");
  return base::ok();
}

Result<void> read_senders(client::Connection& connection, ServerFacts& facts, const env::Wait& wait) {
  const client::Rows rows = TRY(connection.query(kSenders, wait));
  for (int row = 0; row < rows.count(); ++row) {
    facts.senders.push_back({.pid = integer_of(rows, row, "pid").value_or(0),
                             .application_name = text_of(rows, row, "application_name"),
                             .client_address = text_of(rows, row, "client_address"),
                             .state = text_of(rows, row, "state"),
                             .sent = lsn_of(rows, row, "sent_lsn"),
                             .write = lsn_of(rows, row, "write_lsn"),
                             .flush = lsn_of(rows, row, "flush_lsn"),
                             .replay = lsn_of(rows, row, "replay_lsn"),
                             .replay_lag = milliseconds_of(rows, row, "replay_lag_ms"),
                             .sync_state = text_of(rows, row, "sync_state"),
                             .flush_lag = milliseconds_of(rows, row, "flush_lag_ms")});
  }
  return base::ok();
}

Result<void> read_slots(client::Connection& connection, ServerFacts& facts, const env::Wait& wait) {
  const pg::Version version = facts.version;
  const std::string sql = fmt::format(
      "SELECT slot_name, slot_type, active, active_pid, restart_lsn, {}, {} FROM pg_replication_slots ORDER "
      "BY 1",
      version.has_max_slot_wal_keep_size() ? "wal_status, safe_wal_size"
                                           : "NULL AS wal_status, NULL AS safe_wal_size",
      version.has_invalidation_reason() ? "invalidation_reason" : "NULL AS invalidation_reason");
  const client::Rows rows = TRY(connection.query(sql, wait));
  for (int row = 0; row < rows.count(); ++row) {
    facts.slots.push_back({.name = text_of(rows, row, "slot_name"),
                           .is_physical = text_of(rows, row, "slot_type") == "physical",
                           .is_active = text_of(rows, row, "active") == "t",
                           .active_pid = integer_of(rows, row, "active_pid"),
                           .restart_lsn = lsn_of(rows, row, "restart_lsn"),
                           .wal_status = text_of(rows, row, "wal_status"),
                           .safe_wal_bytes = integer_of(rows, row, "safe_wal_size"),
                           .invalidation_reason = text_of(rows, row, "invalidation_reason")});
  }
  return base::ok();
}

Result<void> read_receiver(client::Connection& connection, ServerFacts& facts, const env::Wait& wait) {
  const std::string sql = fmt::format(
      "SELECT status, {} AS flushed, received_tli, latest_end_lsn, slot_name, sender_host, sender_port "
      "FROM pg_stat_wal_receiver",
      facts.version.receiver_tells_written_and_flushed() ? "flushed_lsn" : "received_lsn");
  const client::Rows rows = TRY(connection.query(sql, wait));
  if (rows.count() == 0) return base::ok();
  facts.receiver = WalReceiver{.status = text_of(rows, 0, "status"),
                               .flushed = lsn_of(rows, 0, "flushed"),
                               .timeline = timeline_of(rows, 0, "received_tli"),
                               .latest_end = lsn_of(rows, 0, "latest_end_lsn"),
                               .slot = text_of(rows, 0, "slot_name"),
                               .sender_host = text_of(rows, 0, "sender_host"),
                               .sender_port = text_of(rows, 0, "sender_port")};
  return base::ok();
}

/// What walreceiver gives as its name: primary_conninfo's, else cluster_name, else its own.
std::string application_name_of(const ServerFacts& facts) {
  const Result<pg::Conninfo> conninfo = pg::Conninfo::parse(facts.primary_conninfo);
  if (conninfo) {
    if (const auto name = conninfo->get("application_name")) return *name;
  }
  return facts.cluster_name.empty() ? "walreceiver" : facts.cluster_name;
}

Result<void> read_standby(client::Connection& connection, ServerFacts& facts, const env::Wait& wait) {
  const client::Rows rows = TRY(connection.query(kStandbyPosition, wait));
  if (rows.count() != 1) return Error(ErrorCode::kProtocol, "the standby does not tell its position");
  facts.replay = lsn_of(rows, 0, "replay");
  facts.is_replay_paused = text_of(rows, 0, "is_paused") == "t";
  facts.apply_delay = milliseconds_of(rows, 0, "apply_delay_ms").value_or(milliseconds(0));
  facts.primary_slot_name = text_of(rows, 0, "slot_name");
  facts.primary_conninfo = text_of(rows, 0, "conninfo");
  facts.application_name = application_name_of(facts);
  TRY(read_receiver(connection, facts, wait));
  if (facts.receiver && facts.receiver->timeline) facts.timeline = facts.receiver->timeline;
  return base::ok();
}

std::optional<std::string> masked(std::string_view column, std::optional<std::string> value) {
  if (!value || column != "conninfo") return value;
  const Result<pg::Conninfo> conninfo = pg::Conninfo::parse(*value);
  return conninfo ? conninfo->masked() : "********";
}

// What of a primary_conninfo serves an ordinary connection too, and is known to the libpq this program has.
// The standby's own libpq may be newer.
constexpr auto kCarriedOver = std::to_array<std::string_view>(
    {"host", "hostaddr", "port", "connect_timeout", "sslmode", "channel_binding", "gssencmode", "krbsrvname",
     "ssl_min_protocol_version", "ssl_max_protocol_version", "keepalives", "keepalives_idle",
     "keepalives_interval", "keepalives_count", "tcp_user_timeout"});
/// These only from a standby on this host: they name files that libpq opens, or users of this host.
constexpr auto kCarriedOverOnOneHost = std::to_array<std::string_view>(
    {"passfile", "sslrootcert", "sslcert", "sslkey", "sslcrl", "requirepeer"});

template <std::size_t kCount>
bool is_among(const std::array<std::string_view, kCount>& keywords, std::string_view keyword) {
  return std::find(keywords.begin(), keywords.end(), keyword) != keywords.end();
}

/// A socket is a file too, and no host at all means libpq's own one. One such name in a list is enough.
bool leads_through_a_socket(const pg::Conninfo& conninfo) {
  std::string hosts = conninfo.get("host").value_or("");
  if (hosts.empty()) hosts = conninfo.get("hostaddr").value_or("");
  const std::string list = "," + hosts + ",";
  return list.find(",,") != std::string::npos || list.find(",/") != std::string::npos ||
         list.find(",@") != std::string::npos;
}

}  // namespace

std::string text_of(const client::Rows& rows, int row, std::string_view column) {
  return rows.get(row, column).value_or("");
}

std::optional<pg::Lsn> lsn_of(const client::Rows& rows, int row, std::string_view column) {
  const std::optional<std::string> text = rows.get(row, column);
  return text ? pg::Lsn::parse(*text) : std::nullopt;
}

std::optional<std::int64_t> integer_of(const client::Rows& rows, int row, std::string_view column) {
  const std::optional<std::string> text = rows.get(row, column);
  return text ? base::parse_number<std::int64_t>(*text) : std::nullopt;
}

std::string ServerFacts::describe() const {
  const char* role_name = is_in_recovery ? "standby" : "primary";
  if (host.starts_with('/')) return fmt::format("{} (socket {}, port {})", role_name, host, port);
  return fmt::format("{} ({} port {})", role_name, host, port);
}

Result<ServerFacts> read_server_facts(client::Connection& connection, const env::Wait& wait) {
  ServerFacts facts;
  facts.host = connection.host();
  facts.port = connection.port();
  // With an address a host that looks like a socket is but a name.
  facts.is_behind_local_socket = (facts.host.starts_with('/') || facts.host.starts_with('@')) &&
                                 connection.native_conninfo_value("hostaddr").empty();
  facts.version = connection.server_version();
  if (!facts.version.is_supported()) {
    return Error(ErrorCode::kVersion,
                 fmt::format("the server at {} port {} is PostgreSQL {}", facts.host, facts.port,
                             facts.version.to_string()),
                 fmt::format("PostgreSQL {} to {} are supported.", pg::Version::kOldestMajor,
                             pg::Version::kNewestMajor));
  }
  TRY(read_own_position(connection, facts, wait));
  TRY(read_senders(connection, facts, wait));
  TRY(read_slots(connection, facts, wait));
  if (facts.is_in_recovery) TRY(read_standby(connection, facts, wait));
  return facts;
}

Result<std::vector<ViewRows>> read_views(client::Connection& connection, const ServerFacts& facts,
                                         const env::Wait& wait) {
  std::vector<ViewRows> views;
  for (const std::string view : {"pg_replication_slots", "pg_stat_wal_receiver", "pg_stat_replication"}) {
    const client::Rows rows = TRY(connection.query("SELECT * FROM " + view, wait));
    ViewRows seen{.server = facts.describe(), .view = view, .rows = {}};
    for (int row = 0; row < rows.count(); ++row) {
      auto& record = seen.rows.emplace_back();
      for (int column = 0; column < rows.column_count(); ++column) {
        const std::string name(rows.column_name(column));
        record.emplace_back(name, masked(name, rows.get(row, name)));
      }
    }
    // Of a view that belongs to the other side only what is there is worth a line.
    const bool belongs_here = facts.is_in_recovery == (view == "pg_stat_wal_receiver");
    if (belongs_here || !seen.rows.empty()) views.push_back(std::move(seen));
  }
  return views;
}

Result<client::ConnectOptions> monitor_of_primary(const ServerFacts& standby) {
  if (standby.primary_conninfo.empty()) {
    return Error(ErrorCode::kPrecondition,
                 standby.sees_everything
                     ? "the standby has no primary_conninfo"
                     : fmt::format("role \"{}\" may not see primary_conninfo", standby.role),
                 standby.sees_everything ? "Give the primary with -d."
                                         : "Log in as a member of pg_monitor, or give the primary with -d.");
  }
  const pg::Conninfo conninfo = TRY(pg::Conninfo::parse(standby.primary_conninfo));
  const bool is_ours = standby.is_behind_local_socket;
  if (!is_ours && leads_through_a_socket(conninfo)) {
    return Error(ErrorCode::kPrecondition, "the standby reaches its primary through a socket of its own host",
                 "Give the primary with -d, or run this on the standby's host.");
  }
  client::ConnectOptions options;
  for (const auto& [keyword, value] : conninfo.pairs()) {
    if (is_among(kCarriedOver, keyword) || (is_ours && is_among(kCarriedOverOnOneHost, keyword))) {
      options.set(keyword, value);
    }
  }
  options.set("user", std::string(kMonitorRole)).set("dbname", std::string(kMonitorDatabase));
  return options;
}

}  // namespace standfast::setup
