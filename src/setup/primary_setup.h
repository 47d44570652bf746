// `standfast primary setup`: makes a server a primary that the named standbys may copy and follow, and whose
// WAL the named witnesses may keep. Looks first, plans, then changes only what differs, so that a second run
// changes nothing, and a run after a killed one finishes its work.
//
//   look    primary_look.h    settings, roles, slots, pg_hba.conf, disk, as one value
//   plan    primary_plan.h    facts and wishes in, changes with their reasons out; no I/O
//   apply   primary_run.h, settings_change.h, role_change.h, hba_change.h; primary_stopped.h where no server
//   runs
//
// Threading: one thread. A second run on the same cluster at the same time is refused (a lock on its data
// directory); what a killed run left going in the server is waited for (an advisory lock).
// Secrets: passwords are made here or given, kept in the secret store, and never part of an error, a report
// or the plan.
// Fails with: kVersion, kPrecondition, kPermission, kUsage, kSlot, kInUse, kCertificate, kServerControl and
// whatever a connection or a disk fails with. What was found unfit before the first change leaves all as it
// was; pg_hba.conf is put back whole when it, or a login by it, fails.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "pg/format/hba_block.h"
#include "pg/format/lsn.h"
#include "pg/server/debian.h"
#include "setup/environment.h"
#include "setup/names.h"

namespace standfast::setup {

/// The cluster to make if there is none: page checksums, local peer, host scram-sha-256, TLS on.
struct NewClusterOptions {
  std::uint16_t port = 5432;
  std::optional<std::string> socket_directory = {};  ///< PostgreSQL's own default if not said
  std::optional<server::DebianName> debian = {};     ///< made by pg_createcluster, as this one
};

enum class RestartLeave : std::uint8_t { kAsk, kGiven };
enum class PasswordRotation : std::uint8_t { kNo, kYes };
enum class TokenWish : std::uint8_t { kToken, kManual };
enum class RunMode : std::uint8_t { kApply, kDryRun };
/// What to do on a server that is itself a standby. What lives in the database comes from its primary, so it
/// must be there; the rest is made as on a primary.
enum class OnStandby : std::uint8_t { kRefuse, kServe };
enum class FirewallWish : std::uint8_t { kTell, kOpen };

struct PrimarySetupOptions {
  std::string data_directory;
  /// As the user wrote them. None of either: those of earlier runs.
  std::vector<std::string> standbys = {};
  std::vector<std::string> witnesses = {};
  std::vector<std::string> remove_witnesses = {};  ///< by name; then nothing else is done
  std::optional<std::string> slot = {};            ///< for a single standby
  std::optional<std::string> replication_role =
      {};  ///< else that of earlier runs, else kDefaultReplicationRole
  std::optional<base::Secret> replication_password = {};
  PasswordRotation rotation = PasswordRotation::kNo;
  std::optional<std::string> advertised_host = {};  ///< else this host's address towards the standby
  /// Certificates (PEM) of the CA that issued the server's, where the server does not send them itself.
  std::optional<std::string> ca_pem = {};
  std::string listen_addresses = "*";  ///< used only where the present value does not do
  RestartLeave restart = RestartLeave::kAsk;
  TokenWish token = TokenWish::kToken;
  OnStandby on_standby = OnStandby::kRefuse;
  RunMode mode = RunMode::kApply;
  FirewallWish firewall = FirewallWish::kTell;
  /// An agent on this host: "", or the address where it listens, ADDR[:PORT].
  std::optional<std::string> agent = {};
  std::optional<NewClusterOptions> init = {};
  std::optional<std::string> bin_directory = {};
  std::optional<std::string> superuser = {};  ///< else the name of the operating system user
  std::string maintenance_database = "postgres";
};

enum class ChangeKind : std::uint8_t {
  kCluster,
  kSetting,
  kRole,
  kDatabase,
  kHba,
  kRestart,
  kFirewall,
  kAgent,
  kSlot,
  kToken
};

/// One change, done or planned, for a person to read.
struct PlannedChange {
  ChangeKind kind = ChangeKind::kSetting;
  std::string step;    ///< the seed's number: "1.1"
  std::string what;    ///< "listen_addresses: 'localhost' -> '*'"
  std::string reason;  ///< "10.20.20.2 connects to 10.20.20.1"
  bool operator==(const PlannedChange&) const = default;
};

/// A witness keeps WAL and has no database: one that streams, counts for commits, and serves the WAL again.
using MemberKind = pg::HbaMember;

struct PrimaryMember {
  MemberKind kind = MemberKind::kStandby;
  std::string slot;
  std::string address_cidr;
  std::string host;        ///< what the standby connects to
  std::uint16_t port = 0;  ///< of a witness: where it is to serve
  /// None in a dry run, while a restart is pending, and with TokenWish::kManual.
  std::optional<base::Secret> token = {};
  std::optional<std::string> token_path = {};
  /// With TokenWish::kManual: what to do on the standby by hand, a line each.
  std::vector<std::string> manual = {};
};

/// The agent that was asked for with --agent.
struct AgentOutcome {
  std::vector<std::string> listen = {};
  std::string ca_sha256 = {};               ///< of the cluster's certificate authority
  std::optional<std::string> started = {};  ///< with that command, by this run
  std::optional<base::Error> failure = {};  ///< it does not run; all else is done
};

enum class PrimaryVerdict : std::uint8_t { kPlanned, kUnchanged, kChanged, kPendingRestart };

struct PrimarySetupOutcome {
  PrimaryVerdict verdict = PrimaryVerdict::kUnchanged;
  pg::SystemId system_id;
  std::uint16_t port = 0;
  bool is_standby = false;  ///< then whoever joins says --from-standby
  std::vector<PlannedChange> changes;
  std::vector<std::string> pending_restart;  ///< settings that wait for a restart that was not allowed
  std::string restart_command;               ///< how an administrator restarts this cluster
  std::vector<PrimaryMember> members;        ///< the standbys that were named, or all
  std::optional<AgentOutcome> agent = {};
};

base::Result<PrimarySetupOutcome> run_primary_setup(const PrimarySetupOptions& options,
                                                    const SetupEnvironment& environment);

}  // namespace standfast::setup
