// What one running server says about replication: the rows of pg_stat_replication, pg_replication_slots and
// pg_stat_wal_receiver, and where it stands itself. Values; read_server_facts() is the one that asks.
//
// Threading: one thread. Fails as statements do.
// Invariant: `head` was read before the senders and slots, so that a standby that has all of it never seems
// to lag.
// Follows: catalog/system_views.sql, replication/walsender.c pg_stat_get_wal_senders(), walreceiver.c.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "env/stop_event.h"
#include "pg/client/connection.h"
#include "pg/format/lsn.h"
#include "pg/format/versions.h"

namespace standfast::setup {

/// A row of pg_stat_replication. An empty `state` means that the role may not see it.
struct WalSender {
  std::int64_t pid = 0;
  std::string application_name;
  std::string client_address;  ///< "" for a socket of this host
  std::string state;
  std::optional<pg::Lsn> sent, write, flush, replay;
  std::optional<std::chrono::milliseconds> replay_lag;
  std::string sync_state;
  std::optional<std::chrono::milliseconds> flush_lag = {};

  /// A witness, or a receiver of PostgreSQL's: it reports what is on its disk, and replays nothing.
  bool replays_nothing() const { return state == "streaming" && flush && !replay; }
};

/// A row of pg_replication_slots.
struct Slot {
  std::string name;
  bool is_physical = true;
  bool is_active = false;
  std::optional<std::int64_t> active_pid;
  std::optional<pg::Lsn> restart_lsn;  ///< none: it holds nothing back, it was never used, or it is lost
  std::string wal_status;              ///< from 13: reserved, extended, unreserved, lost
  std::optional<std::int64_t> safe_wal_bytes;
  std::string invalidation_reason;  ///< from 17

  bool is_lost() const { return wal_status == "lost" || !invalidation_reason.empty(); }
};

/// The row of pg_stat_wal_receiver. An empty `status` means that the role may not see it.
struct WalReceiver {
  std::string status;
  std::optional<pg::Lsn> flushed;
  std::optional<pg::TimelineId> timeline;
  std::optional<pg::Lsn> latest_end;  ///< how far the sender had got when it last said so
  std::string slot;
  std::string sender_host, sender_port;
};

struct ServerFacts {
  std::string host;  ///< as connected to; a socket directory or an address
  std::string port;
  bool is_behind_local_socket = false;  ///< so it is this host's
  std::string cluster_name;
  pg::Version version;
  pg::SystemId system_id;
  std::optional<pg::TimelineId> timeline;
  bool is_in_recovery = false;
  bool sees_everything = true;  ///< superuser or a member of pg_monitor
  std::string role;             ///< whom we are logged in as
  pg::Lsn head;                 ///< a primary's current WAL position; on a standby what it has received
  std::vector<WalSender> senders;
  std::vector<Slot> slots;
  std::string synchronous_standby_names;

  // On a standby.
  std::optional<WalReceiver> receiver;
  std::optional<pg::Lsn> replay;
  bool is_replay_paused = false;
  std::chrono::milliseconds apply_delay{0};  ///< recovery_min_apply_delay
  std::string application_name;              ///< what it calls itself at its primary
  std::string primary_slot_name;
  std::string primary_conninfo;  ///< may hold a password: never shown. "" if not visible

  /// "primary" or "standby", and where: "10.20.20.1:5432", "/tmp port 5433".
  std::string describe() const;
};

base::Result<ServerFacts> read_server_facts(client::Connection& connection, const env::Wait& wait);

/// A column of a row as text; "" for NULL.
std::string text_of(const client::Rows& rows, int row, std::string_view column);
/// A column of a row as the type it has; none for NULL.
std::optional<pg::Lsn> lsn_of(const client::Rows& rows, int row, std::string_view column);
std::optional<std::int64_t> integer_of(const client::Rows& rows, int row, std::string_view column);

/// Views as their server has them, every column, passwords masked: for the expanded display.
struct ViewRows {
  std::string server;  ///< ServerFacts::describe()
  std::string view;    ///< "pg_replication_slots"
  std::vector<std::vector<std::pair<std::string, std::optional<std::string>>>> rows;
};
base::Result<std::vector<ViewRows>> read_views(client::Connection& connection, const ServerFacts& facts,
                                               const env::Wait& wait);

/// How a standby's own settings reach its primary for ordinary statements: host, port and TLS of its
/// primary_conninfo, the monitor role, the passfile. A standby that was reached through the network is
/// another host's: it chooses no file that is opened here, neither passfile nor certificate nor socket.
/// kPrecondition if it has no primary_conninfo, or one that leads through a socket of its own host.
base::Result<client::ConnectOptions> monitor_of_primary(const ServerFacts& standby);

}  // namespace standfast::setup
