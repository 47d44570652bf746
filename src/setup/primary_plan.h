// What has to change so that a server can be the primary of its standbys, and why: a value, made of values.
//
// Threading: pure functions. Invariant: a plan made after a plan was carried out whole has no changes. Fails
// before anything was changed, with kVersion, kPrecondition, kUsage or kSlot and a hint, when the server is
// not one that setup may change, or what is wished does not fit what is there.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "pg/format/hba_block.h"
#include "setup/agent_place.h"
#include "setup/agent_start.h"
#include "setup/primary_setup.h"
#include "setup/primary_state.h"
#include "setup/witness_table.h"

namespace standfast::setup {

struct WitnessWish {
  pg::StandbyAddress address;
  std::optional<std::uint16_t> port = {};  ///< where it is to serve; else as before, else kDefaultWitnessPort
  std::optional<std::string> name = {};    ///< else as before, else the next free one
};
/// "ADDR", "ADDR:PORT", "[ADDR6]:PORT", and each of them with "=NAME". kUsage.
base::Result<WitnessWish> parse_witness(std::string_view text);

/// The user's options, checked and without secrets.
struct PrimaryWish {
  std::vector<pg::StandbyAddress> standbys = {};
  std::vector<WitnessWish> witnesses = {};
  std::optional<std::string> slot = {};
  std::optional<std::string> replication_role = {};
  std::optional<std::string> advertised_host = {};
  std::string listen_addresses = "*";
  bool password_given = false;
  PasswordRotation rotation = PasswordRotation::kNo;
  std::string ca_pem = {};
  OnStandby on_standby = OnStandby::kRefuse;
  std::optional<AgentWish> agent = {};
};

/// kUsage for what no server could make good.
base::Result<PrimaryWish> wish_of(const PrimarySetupOptions& options);

struct SettingChange {
  std::string name;
  std::string from;
  std::string to;
  std::string reason;
  bool only_at_start = true;
};

enum class PasswordAction : std::uint8_t {
  kKeep,
  kStore,         ///< the role keeps it, the secret store gets it
  kStoreAsScram,  ///< the role gets the same one in another form
  kReplace,
};

struct RolePlan {
  std::string name;
  bool create = false;
  PasswordAction password = PasswordAction::kKeep;  ///< kReplace for a role that is created
  bool grant_monitor = false;

  bool changes_server() const {
    return create || grant_monitor || password == PasswordAction::kStoreAsScram ||
           password == PasswordAction::kReplace;
  }
};

struct DatabasePlan {
  bool create = false;
  bool shut_out_public = false;
  bool create_table = false;
  std::vector<KnownWitness> witnesses = {};  ///< rows to write
};

enum class SlotAction : std::uint8_t { kKeep, kCreate, kRecreate };

struct PlannedMember {
  MemberKind kind = MemberKind::kStandby;
  std::string slot;
  std::string address_cidr;
  std::optional<std::string> source_address;  ///< of this host, towards it
  SlotAction slot_action = SlotAction::kKeep;
  bool is_named = false;   ///< in this run; a token is made for it
  std::uint16_t port = 0;  ///< of a witness: where it is to serve
};

struct AgentPlan {
  AgentAddresses listen = {};
  bool make_authority = false;
  bool make_member = false;  ///< this host gets a key and a certificate
  AgentStart start = AgentStart::kNone;
  std::map<std::string, net::HostPort, std::less<>> called_at = {};  ///< by the slot of a named standby
  std::set<std::string, std::less<>> invited = {};                   ///< slots whose tokens get a new secret
};

struct FirewallOpening {
  std::string address_cidr;
  std::uint16_t port = 0;
};

/// Something to say that is no change: a fact, or, with a hint, a warning.
struct PlanNote {
  std::string line;
  std::string hint = {};
};

struct PrimaryPlan {
  std::vector<SettingChange> settings;
  std::vector<std::string> restart_for;  ///< settings that are right in the files and wait for a start
  RolePlan replication;
  RolePlan monitor;
  DatabasePlan database;
  pg::HbaBlock block;
  std::string hba_text;  ///< the whole file with the block
  bool hba_changes = false;
  /// The logins of both roles are tried: something that could spoil them changes, or no run has yet.
  bool try_logins = false;
  std::vector<PlannedMember> members;
  std::vector<FirewallOpening> firewall_openings;
  std::optional<AgentPlan> agent;

  std::vector<PlannedChange> changes;  ///< all of the above in words, in the order of doing
  std::vector<PlanNote> notes;
};

/// Whether this server may be set up at all; asked before the rest of its state is.
base::Result<void> refuse_unfit_server(const ServerBasics& server, OnStandby on_standby);

base::Result<PrimaryPlan> plan_primary(const PrimaryState& state, const PrimaryWish& wish);

/// The name in the wish, else the one that earlier runs wrote into pg_hba.conf, else the default.
std::string replication_role_name(const PrimaryWish& wish, const std::optional<pg::HbaBlock>& block);

/// The host a standby or witness connects to: what the user said, else this host's address towards it.
std::string host_for(const PlannedMember& member, const PrimaryWish& wish);

/// Why a token is written, for a person to read.
std::string_view token_purpose(MemberKind kind);

/// The file with the block and, in it, also the address from where this host tries the logins itself.
base::Result<std::string> hba_text_for_trying(const PrimaryState& state, const PrimaryPlan& plan,
                                              const std::string& own_address);

/// What an administrator is to write himself where ALTER SYSTEM does not do: each line, and where it goes.
std::string lines_to_set(const PrimaryState& state, std::span<const SettingChange> changes);

/// The bound for the WAL that slots may hold back, in MB: half of what is free, at least 1 GiB.
std::uint64_t slot_wal_bound_mb(std::uint64_t free_bytes);

}  // namespace standfast::setup
