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

#include "pg/client/certificate_chain.h"
#include "pg/format/hba_block.h"
#include "pg/format/lsn.h"
#include "pg/format/token.h"
#include "pg/format/versions.h"
#include "pg/server/root_helper.h"
#include "setup/agent_place.h"
#include "setup/hba_change.h"
#include "setup/witness_table.h"

namespace standfast::setup {

struct ServerBasics {
  pg::Version version;
  bool in_recovery = false;
  bool is_superuser = false;
  std::string user;  ///< as whom setup is logged in
};

/// A line of a configuration file, as pg_file_settings names it.
struct ConfigurationLine {
  std::string file;
  int line_number = 0;
};

struct SettingState {
  std::string value;       ///< in force
  std::string configured;  ///< in force after the next start
  bool only_at_start = false;
  std::string source;  ///< pg_settings.source: "default", "configuration file", "command line"
  /// The last line of the files that sets it, which is the one that counts; none: no file does.
  std::optional<ConfigurationLine> line = {};
};

/// A line that keeps the server from loading its configuration, and from starting again.
struct ConfigurationError {
  ConfigurationLine line;
  std::string message;  ///< the server's own
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

/// The certificate that the server shows after its next reload.
struct CertificateState {
  std::string file;
  std::string pem;
  client::LeafCertificate leaf;
  /// By what the server sends, and what this run was given or an earlier one has kept beside it.
  client::ChainVerdict verdict;
  bool ca_was_given = false;
};

/// What a token says of the agent, without its secret.
struct TokenAgentState {
  net::HostPort place;
  std::string ca_sha256;
  bool is_secret_good = false;  ///< it would admit its standby now
};

/// A token in the secret store, without what is secret in it.
struct TokenState {
  pg::TokenKind kind = pg::TokenKind::kStandby;
  bool is_readable = false;
  std::string host;
  std::uint16_t port = 0;
  std::string replication_role;
  bool has_the_passwords = false;  ///< the ones that the roles have, as far as they are in it
  std::optional<std::string> certificate_sha256 = {};
  std::string ca_der = {};
  std::optional<TokenAgentState> agent = {};
};

/// The cluster's members and the agent of this host.
struct AgentState {
  bool has_authority = false;
  std::string ca_sha256 = {};  ///< the authority's, where this host has it
  bool is_member = false;      ///< with a certificate that counts, of that authority
  /// With one of an authority that lies on another host.
  bool is_member_elsewhere = false;
  AgentAddresses listen = {};  ///< where an earlier run had it listen
  AgentAddresses answering = {};
  std::set<std::string, std::less<>> members = {};  ///< whose certificates count
};

struct PrimaryState {
  ServerBasics server;
  pg::SystemId system_id;
  std::uint16_t port = 0;
  bool tls = false;
  std::string configuration_file;  ///< postgresql.conf, wherever it is
  /// Why ALTER SYSTEM does not do here, as a clause: "this server does not allow ALTER SYSTEM"; none if it
  /// does.
  std::optional<std::string> alter_system_obstacle;
  std::vector<ConfigurationError> configuration_errors;
  std::map<std::string, SettingState, std::less<>> settings;
  /// Names in listen_addresses that are no addresses, and the addresses behind them.
  std::map<std::string, std::vector<std::string>, std::less<>> resolved_names;

  std::string replication_role;          ///< the name that counts in this run
  std::optional<RoleState> replication;  ///< none: there is no such role
  std::optional<RoleState> monitor;
  std::optional<DatabaseState> monitor_database;
  std::vector<KnownWitness> witnesses;    ///< of earlier runs
  std::vector<std::string> remote_apply;  ///< where commits wait for a standby's replay (setup/sync.h)
  std::map<std::string, SlotState, std::less<>> slots;
  int foreign_wal_senders = 0;  ///< connected now, by another role than ours

  std::string hba_text;
  std::optional<pg::HbaBlock> hba_block;
  std::vector<HbaError> hba_errors;  ///< outside of our own block
  /// Why this user cannot replace the file and keep its owner and group; none if he can.
  std::optional<std::string> hba_obstacle;
  std::vector<Route> routes;  ///< to every standby that was named or is in the block
  std::map<std::string, TokenState, std::less<>> tokens;  ///< by slot
  std::optional<CertificateState> certificate;  ///< none: ssl is off, or this user cannot read the file

  /// How the firewall is to each standby that was named; only where the user wants it opened.
  std::map<std::string, server::FirewallAnswer, std::less<>> firewall;
  std::map<std::string, server::FirewallAnswer, std::less<>> agent_firewall;  ///< for the agent's port
  std::optional<AgentState> agent;  ///< only where an agent is wished for

  std::string wal_directory;  ///< its real path
  std::uint64_t wal_disk_free_bytes = 0;
};

/// Whether a server with these listen_addresses takes connections to `address`.
bool admits(std::string_view listen_addresses, std::string_view address,
            const std::map<std::string, std::vector<std::string>, std::less<>>& resolved_names);

}  // namespace standfast::setup
