// What a server and its host are like, as far as `primary setup` has to know: read once, changed by nothing,
// handed to the plan.
//
// Values without secrets. primary_look.h fills them from a running server.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "pg/format/hba_block.h"
#include "pg/format/lsn.h"
#include "pg/format/versions.h"
#include "setup/hba_change.h"

namespace standfast::setup {

struct ServerBasics {
  pg::Version version;
  bool in_recovery = false;
  bool is_superuser = false;
  std::string user;  ///< as whom setup is logged in
};

struct SettingState {
  std::string value;       ///< in force
  std::string configured;  ///< in force after the next start
  bool only_at_start = false;
  std::string source;  ///< pg_settings.source: "default", "configuration file", "command line"
};

enum class PasswordState : std::uint8_t {
  kKnown,         ///< we have the one the role has
  kKnownAsMd5,    ///< the same, but the server stores it in a form that scram-sha-256 does not take
  kUnknown,       ///< we have none: the secret store lost it, or the role is not of our making
  kChanged,       ///< we have one that is not the role's any more
  kGivenDiffers,  ///< the one the user gave is not the role's
};

struct RoleState {
  bool is_superuser = false;
  bool can_login = false;
  bool has_replication = false;
  bool reads_statistics = false;  ///< is a member of pg_monitor
  bool is_expired = false;        ///< VALID UNTIL has passed
  PasswordState password = PasswordState::kUnknown;
  bool is_stored = false;  ///< the secret store has it where the next run and join look for it
};

struct DatabaseState {
  std::string owner;
  bool public_may_connect = true;
  bool has_marker_table = false;
};

struct SlotState {
  bool is_physical = true;
  bool is_active = false;
  std::optional<std::string> used_from;  ///< the address of who uses it; none for a local socket
  bool is_lost = false;                  ///< has lost WAL that its standby needs
  std::uint64_t retained_bytes = 0;
};

/// How this host would speak to a standby.
struct Route {
  std::string address_cidr;
  std::optional<std::string> source_address;  ///< none: there is no route
};

struct PrimaryState {
  ServerBasics server;
  pg::SystemId system_id;
  std::uint16_t port = 0;
  bool tls = false;
  bool alter_system_allowed = true;
  std::map<std::string, SettingState, std::less<>> settings;
  /// Names in listen_addresses that are no addresses, and the addresses behind them.
  std::map<std::string, std::vector<std::string>, std::less<>> resolved_names;

  std::string replication_role;          ///< the name that counts in this run
  std::optional<RoleState> replication;  ///< none: there is no such role
  std::optional<RoleState> monitor;
  std::optional<DatabaseState> monitor_database;
  std::map<std::string, SlotState, std::less<>> slots;
  int foreign_wal_senders = 0;  ///< connected now, by another role than ours

  std::string hba_text;
  std::optional<pg::HbaBlock> hba_block;
  std::vector<HbaError> hba_errors;  ///< outside of our own block
  /// Why this user cannot replace the file and keep its owner and group; none if he can.
  std::optional<std::string> hba_obstacle;
  std::vector<Route> routes;                  ///< to every standby that was named or is in the block
  std::set<std::string, std::less<>> tokens;  ///< slots whose token is in the store

  std::string wal_directory;  ///< its real path
  std::uint64_t wal_disk_free_bytes = 0;
};

/// Whether a server with these listen_addresses takes connections to `address`.
bool admits(std::string_view listen_addresses, std::string_view address,
            const std::map<std::string, std::vector<std::string>, std::less<>>& resolved_names);

}  // namespace standfast::setup
