#include "setup/primary_plan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/check.h"
#include "base/time.h"
#include "pg/format/sql_text.h"
#include "setup/join_settings.h"
#include "setup/scram.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// Each standby streams over one, and another is taken while a base backup is made.
constexpr int kWalSendersPerStandby = 2;
/// PostgreSQL's own default for senders and slots: who has to raise them, raises them to that at least.
constexpr int kUsualSenders = 10;
constexpr std::uint64_t kMegabyte = std::uint64_t{1} << 20U;

std::optional<int> as_number(std::string_view text) {
  int number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string quoted(const std::string& text) {
  return text.empty() ? "''" : text;
}

// ---------------------------------------------------------------- members

std::string next_slot_name(const PrimaryState& state, const std::vector<PlannedMember>& members) {
  for (int i = 1;; ++i) {
    std::string name = fmt::format("{}{}", kDefaultSlotPrefix, i);
    const bool is_member =
        std::any_of(members.begin(), members.end(), [&](const auto& member) { return member.slot == name; });
    if (!is_member && !state.slots.contains(name)) return name;
  }
}

/// A slot that this run is to use for `address_cidr` and that was not its before.
Result<void> check_slot_is_free(const PrimaryState& state, const std::string& slot,
                                const std::string& address_cidr) {
  const auto found = state.slots.find(slot);
  if (found == state.slots.end() || !found->second.is_active) return base::ok();
  const auto& used_from = found->second.used_from;
  if (used_from) {
    const auto user = pg::parse_standby_address(*used_from);
    if (user && user->cidr == address_cidr) return base::ok();
  }
  return Error(ErrorCode::kSlot,
               fmt::format("slot \"{}\" is in use by {}", slot, used_from.value_or("a client on this host")),
               "Give this standby another slot with --slot, or stop the one that uses it.");
}

Result<void> name_member(const PrimaryState& state, const PrimaryWish& wish, const std::string& address_cidr,
                         std::vector<PlannedMember>& members) {
  const auto find = [&members](const auto& predicate) {
    return std::find_if(members.begin(), members.end(), predicate);
  };
  auto member = wish.slot ? find([&](const auto& one) { return one.slot == *wish.slot; })
                          : find([&](const auto& one) { return one.address_cidr == address_cidr; });
  if (member == members.end()) {
    PlannedMember added;
    added.slot = wish.slot ? *wish.slot : next_slot_name(state, members);
    added.address_cidr = address_cidr;
    TRY(check_slot_is_free(state, added.slot, address_cidr));
    member = members.insert(members.end(), std::move(added));
  } else if (member->address_cidr != address_cidr) {
    TRY(check_slot_is_free(state, member->slot, address_cidr));
    member->address_cidr = address_cidr;
  }
  member->is_named = true;
  return base::ok();
}

Result<void> plan_slot(const PrimaryState& state, PlannedMember& member) {
  const auto slot = state.slots.find(member.slot);
  if (slot == state.slots.end()) {
    member.slot_action = SlotAction::kCreate;
  } else if (!slot->second.is_physical) {
    return Error(ErrorCode::kSlot, fmt::format("slot \"{}\" is a logical one", member.slot),
                 "Give the standby a slot of another name with --slot.");
  } else if (slot->second.is_lost && !slot->second.is_active) {
    member.slot_action = SlotAction::kRecreate;
  }
  return base::ok();
}

Result<std::vector<PlannedMember>> plan_members(const PrimaryState& state, const PrimaryWish& wish) {
  std::vector<PlannedMember> members;
  if (state.hba_block) {
    for (const auto& entry : state.hba_block->members) {
      PlannedMember member;
      member.slot = entry.slot_name;
      member.address_cidr = entry.address_cidr;
      member.is_named = wish.standbys.empty();
      members.push_back(std::move(member));
    }
  }
  for (const auto& standby : wish.standbys) TRY(name_member(state, wish, standby.cidr, members));
  if (members.empty()) {
    return Error(ErrorCode::kUsage, "no standby is named, and none is known from an earlier run",
                 "Say which host is to be the standby: --standby ADDRESS.");
  }
  for (auto& member : members) {
    const auto route = std::find_if(state.routes.begin(), state.routes.end(), [&](const Route& one) {
      return one.address_cidr == member.address_cidr;
    });
    if (route != state.routes.end()) member.source_address = route->source_address;
    if (!member.is_named) continue;
    if (!member.source_address && !wish.advertised_host) {
      return Error(ErrorCode::kPrecondition,
                   fmt::format("there is no route from this host to {}", member.address_cidr),
                   "Check the address; or say with --advertise by which host name or address that standby "
                   "reaches this server.");
    }
    TRY(plan_slot(state, member));
  }
  return members;
}

// ---------------------------------------------------------------- settings

class SettingsPlanner {
 public:
  SettingsPlanner(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan)
      : state_(state), wish_(wish), plan_(plan) {}

  Result<void> run() {
    TRY(plan_listen_addresses());
    TRY(require("wal_level", "replica", "a standby needs the WAL that \"minimal\" leaves out",
                [](const std::string& value) { return value != "minimal"; }));
    TRY(plan_numbers());
    TRY(require("hot_standby", "on", "the standby gets this setting with the copy, and answers queries by it",
                [](const std::string& value) { return value == "on"; }));
    TRY(plan_slot_bound());
    return check_alter_system();
  }

 private:
  using Fits = std::function<bool(const std::string&)>;

  Result<void> require(const std::string& name, const std::string& wanted, const std::string& reason,
                       const Fits& fits) {
    const auto found = state_.settings.find(name);
    CHECK(found != state_.settings.end());
    const SettingState& setting = found->second;
    const bool change = !fits(setting.configured);
    if (change) {
      if (setting.source == "command line") {
        return Error(ErrorCode::kPrecondition,
                     fmt::format("{} is {} by the command line the server was started with, which nothing in "
                                 "its configuration files overrides",
                                 name, quoted(setting.value)),
                     fmt::format("Take it out of that command line, or make it {} there, restart the server, "
                                 "and run this again.",
                                 wanted));
      }
      plan_.settings.push_back({name, setting.configured, wanted, reason, setting.only_at_start});
      plan_.changes.push_back({ChangeKind::kSetting, "1.1",
                               fmt::format("{}: {} -> {}", name, quoted(setting.configured), wanted),
                               reason});
    }
    if (setting.only_at_start && !fits(setting.value)) plan_.restart_for.push_back(name);
    return base::ok();
  }

  Result<void> plan_listen_addresses() {
    std::vector<std::string> wanted;
    std::vector<std::string> routes;
    for (const auto& member : plan_.members) {
      if (!member.source_address) continue;
      wanted.push_back(*member.source_address);
      routes.push_back(member.address_cidr + " connects to " + *member.source_address);
    }
    const auto fits = [&](const std::string& list) {
      return std::all_of(wanted.begin(), wanted.end(), [&](const std::string& address) {
        return admits(list, address, state_.resolved_names);
      });
    };
    if (!fits(wish_.listen_addresses)) {
      return Error(ErrorCode::kUsage,
                   fmt::format("--listen {} leaves out an address that a standby connects to: {}",
                               wish_.listen_addresses, fmt::join(routes, ", ")),
                   "Add that address, or leave --listen out to listen on all.");
    }
    return require("listen_addresses", wish_.listen_addresses, fmt::format("{}", fmt::join(routes, ", ")),
                   fits);
  }

  Result<void> plan_numbers() {
    const int standbys = static_cast<int>(plan_.members.size());
    const int foreign_slots =
        static_cast<int>(std::count_if(state_.slots.begin(), state_.slots.end(), [&](const auto& slot) {
          return std::none_of(plan_.members.begin(), plan_.members.end(),
                              [&](const auto& member) { return member.slot == slot.first; });
        }));
    const int senders = state_.foreign_wal_senders + kWalSendersPerStandby * standbys;
    const int slots = foreign_slots + standbys;
    const auto at_least = [](int least) {
      return [least](const std::string& value) { return as_number(value).value_or(0) >= least; };
    };
    TRY(require("max_wal_senders", std::to_string(std::max(senders, kUsualSenders)),
                fmt::format("{} in use by others, and {} for each of {} standbys: one to stream, one for its "
                            "base backup",
                            state_.foreign_wal_senders, kWalSendersPerStandby, standbys),
                at_least(senders)));
    return require(
        "max_replication_slots", std::to_string(std::max(slots, kUsualSenders)),
        fmt::format("{} slots of others, and one for each of {} standbys", foreign_slots, standbys),
        at_least(slots));
  }

  Result<void> plan_slot_bound() {
    if (!state_.server.version.has_max_slot_wal_keep_size()) {
      plan_.notes.push_back(
          {fmt::format("nothing bounds the WAL that a slot holds back on PostgreSQL {}: a standby that stays "
                       "away fills the disk",
                       state_.server.version.major()),
           "Watch it with \"standfast status\", and drop the slot of a standby that does not come back."});
      return base::ok();
    }
    const auto& setting = state_.settings.find("max_slot_wal_keep_size")->second;
    if (setting.configured != "-1") return base::ok();
    const std::uint64_t bound_mb = slot_wal_bound_mb(state_.wal_disk_free_bytes);
    for (const auto& [name, slot] : state_.slots) {
      if (slot.is_lost || slot.retained_bytes <= bound_mb * kMegabyte) continue;
      plan_.notes.push_back(
          {fmt::format("max_slot_wal_keep_size stays unlimited: slot \"{}\" already holds back {}, and the "
                       "figure for this disk would be {} MB",
                       name, base::format_bytes(slot.retained_bytes), bound_mb),
           "Bring that slot's client up to date or drop the slot, then run this again."});
      return base::ok();
    }
    return require("max_slot_wal_keep_size", fmt::format("{}MB", bound_mb),
                   fmt::format("what a standby that stays away may cost: half of the {} that are free on the "
                               "disk of {}, at least 1 GiB",
                               base::format_bytes(state_.wal_disk_free_bytes), state_.wal_directory),
                   [](const std::string&) { return false; });
  }

  Result<void> check_alter_system() const {
    if (state_.alter_system_allowed || plan_.settings.empty()) return base::ok();
    std::vector<std::string> lines;
    for (const auto& change : plan_.settings) {
      lines.push_back(fmt::format("{} = {}", change.name, pg::quote_conf_value(change.to)));
    }
    return Error(
        ErrorCode::kPrecondition,
        "settings have to change, and this server does not allow ALTER SYSTEM (allow_alter_system)",
        fmt::format("Set where its configuration is kept: {}; then run this again.", fmt::join(lines, "; ")));
  }

  const PrimaryState& state_;
  const PrimaryWish& wish_;
  PrimaryPlan& plan_;
};

// ---------------------------------------------------------------- roles and the database

enum class RoleKind : std::uint8_t { kReplication, kMonitor };

Result<void> refuse_unfit_role(const std::string& name, const RoleState& role, RoleKind kind) {
  const auto refuse = [&](std::string_view what, std::string hint) {
    return Error(ErrorCode::kPrecondition, fmt::format("role \"{}\" exists and {}", name, what),
                 std::move(hint));
  };
  const std::string other =
      kind == RoleKind::kReplication ? " Or choose another name with --replication-role." : "";
  const std::string identifier = pg::quote_identifier(name);
  if (role.is_superuser) {
    return refuse("is a superuser, which a standby's login must not be",
                  fmt::format("Make it an ordinary role: ALTER ROLE {} NOSUPERUSER.{}", identifier, other));
  }
  if (!role.can_login)
    return refuse("may not log in", fmt::format("ALTER ROLE {} LOGIN.{}", identifier, other));
  if (kind == RoleKind::kReplication && !role.has_replication) {
    return refuse("may not replicate", fmt::format("ALTER ROLE {} REPLICATION.{}", identifier, other));
  }
  if (role.is_expired) {
    return refuse("is no longer valid",
                  fmt::format("ALTER ROLE {} VALID UNTIL 'infinity'.{}", identifier, other));
  }
  return base::ok();
}

Error unknown_password(const std::string& name, PasswordState state) {
  switch (state) {
    case PasswordState::kGivenDiffers:
      return {ErrorCode::kPrecondition,
              fmt::format("the password that was given is not the one role \"{}\" has", name),
              "Give the right one, or give the role this one with --rotate-password; standbys that log in "
              "with the old one then need a new token."};
    case PasswordState::kChanged:
      return {ErrorCode::kPrecondition,
              fmt::format("the password of role \"{}\" was changed since the last run", name),
              "Give the new one with -W or --password-file, or make another with --rotate-password; standbys "
              "that log in with the old one then need a new token."};
    case PasswordState::kUnknown:
    case PasswordState::kKnown:
    case PasswordState::kKnownAsMd5:
      break;
  }
  return {ErrorCode::kPrecondition,
          fmt::format("role \"{}\" exists, and its password is not known here", name),
          "Give the role a new one with --rotate-password (whoever logs in with the old one then needs it), "
          "or, if it is the replication role's, give the present one with -W or --password-file."};
}

Result<RolePlan> plan_role(const std::string& name, const std::optional<RoleState>& role, RoleKind kind,
                           PasswordRotation rotation, bool password_given) {
  RolePlan plan;
  plan.name = name;
  if (!role) {
    plan.create = true;
    plan.password = PasswordAction::kReplace;
    plan.grant_monitor = kind == RoleKind::kMonitor;
    return plan;
  }
  TRY(refuse_unfit_role(name, *role, kind));
  plan.grant_monitor = kind == RoleKind::kMonitor && !role->reads_statistics;
  const bool known = role->password == PasswordState::kKnown || role->password == PasswordState::kKnownAsMd5;
  // A password that the user gave and that the role has is what he wants, rotation or not.
  if (rotation == PasswordRotation::kYes && !(known && password_given)) {
    plan.password = PasswordAction::kReplace;
  } else if (!known) {
    return unknown_password(name, role->password);
  } else if (role->password == PasswordState::kKnownAsMd5) {
    plan.password = PasswordAction::kStoreAsScram;
  } else if (!role->is_stored) {
    plan.password = PasswordAction::kStore;
  }
  return plan;
}

void describe_role(const RolePlan& role, RoleKind kind, std::vector<PlannedChange>& changes) {
  const auto add = [&](std::string what, std::string reason) {
    changes.push_back({ChangeKind::kRole, "1.2", fmt::format("role {}: {}", role.name, std::move(what)),
                       std::move(reason)});
  };
  const std::string purpose = kind == RoleKind::kReplication
                                  ? "standbys log in as it to copy and to stream"
                                  : "reads the statistics for status, writes the markers of verify";
  if (role.create) {
    add(kind == RoleKind::kReplication ? "created with LOGIN REPLICATION"
                                       : "created with LOGIN, in pg_monitor",
        purpose);
    return;
  }
  switch (role.password) {
    case PasswordAction::kKeep:
      break;
    case PasswordAction::kStore:
      add("its password put into the secret store", "later runs and the tokens need it");
      break;
    case PasswordAction::kStoreAsScram:
      add("its password stored as SCRAM-SHA-256", "it is stored as MD5, which pg_hba.conf will not take");
      break;
    case PasswordAction::kReplace:
      add("a new password", "--rotate-password");
      break;
  }
  if (role.grant_monitor) add("GRANT pg_monitor", purpose);
}

Result<void> plan_roles(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan) {
  const std::string monitor_name(kMonitorRole);
  if (state.replication_role == monitor_name) {
    return Error(ErrorCode::kUsage, fmt::format("\"{}\" is the name of the other role", monitor_name),
                 "Choose another name with --replication-role.");
  }
  const bool foreign_members =
      std::any_of(plan.members.begin(), plan.members.end(), [](const auto& one) { return !one.is_named; });
  if (state.hba_block && state.hba_block->replication_role != state.replication_role && foreign_members) {
    return Error(
        ErrorCode::kPrecondition,
        fmt::format("other standbys of this server log in as role \"{}\"", state.hba_block->replication_role),
        "Leave --replication-role out; or name every standby, and give each its new token.");
  }
  plan.replication = TRY(plan_role(state.replication_role, state.replication, RoleKind::kReplication,
                                   wish.rotation, wish.password_given));
  plan.monitor = TRY(plan_role(monitor_name, state.monitor, RoleKind::kMonitor, wish.rotation, false));
  describe_role(plan.replication, RoleKind::kReplication, plan.changes);
  describe_role(plan.monitor, RoleKind::kMonitor, plan.changes);
  if (plan.replication.password == PasswordAction::kReplace && !plan.replication.create) {
    plan.notes.push_back(
        {"standbys that log in with the old password go on until their connection breaks, and not after it",
         "Give each of them its new token: run \"standfast join\" there, or put the new password into its "
         "passfile."});
  }
  return base::ok();
}

Result<void> plan_database(const PrimaryState& state, PrimaryPlan& plan) {
  const auto& database = state.monitor_database;
  const std::string name(kMonitorDatabase);
  if (database && database->owner != kMonitorRole) {
    return Error(
        ErrorCode::kPrecondition,
        fmt::format("a database \"{}\" exists and belongs to \"{}\"", name, database->owner),
        fmt::format("Rename it, or, if it is left from an earlier setup: ALTER DATABASE {0} OWNER TO "
                    "{1}.",
                    pg::quote_identifier(name), pg::quote_identifier(kMonitorRole)));
  }
  plan.database.create = !database;
  plan.database.shut_out_public = !database || database->public_may_connect;
  plan.database.create_table = !database || !database->has_marker_table;
  if (plan.database.create) {
    plan.changes.push_back({ChangeKind::kDatabase, "1.2",
                            fmt::format("database {}: created, owned by {}", name, kMonitorRole),
                            "holds the markers of verify, nothing else"});
  } else if (plan.database.shut_out_public || plan.database.create_table) {
    plan.changes.push_back({ChangeKind::kDatabase, "1.2", fmt::format("database {}: completed", name),
                            "an earlier run did not finish it, or its table was dropped"});
  }
  return base::ok();
}

// ---------------------------------------------------------------- pg_hba.conf

pg::HbaDialect dialect_of(const PrimaryState& state) {
  return state.server.version.hba_lines_continue() ? pg::HbaDialect::kWithContinuation
                                                   : pg::HbaDialect::kWithoutContinuation;
}

Result<void> plan_hba(const PrimaryState& state, PrimaryPlan& plan) {
  plan.block.replication_role = plan.replication.name;
  plan.block.monitor_role = plan.monitor.name;
  plan.block.monitor_database = kMonitorDatabase;
  plan.block.encryption = state.tls ? pg::Encryption::kTls : pg::Encryption::kPlain;
  for (const auto& member : plan.members) plan.block.members.push_back({member.slot, member.address_cidr});
  plan.hba_text = TRY(pg::with_block(state.hba_text, plan.block, dialect_of(state)));
  plan.hba_changes = plan.hba_text != state.hba_text;
  if (!plan.hba_changes) return base::ok();

  const std::size_t described_before = plan.changes.size();
  const std::string type = state.tls ? "hostssl" : "host";
  for (const auto& entry : plan.block.members) {
    const auto& known = state.hba_block ? state.hba_block->members : std::vector<pg::HbaBlockEntry>();
    if (std::find(known.begin(), known.end(), entry) != known.end()) continue;
    plan.changes.push_back(
        {ChangeKind::kHba, "1.3",
         fmt::format("pg_hba.conf: {} lines for {}, scram-sha-256", type, entry.address_cidr),
         fmt::format("the standby with slot {} logs in from there", entry.slot_name)});
  }
  if (plan.changes.size() == described_before) {
    plan.changes.push_back(
        {ChangeKind::kHba, "1.3",
         fmt::format("pg_hba.conf: the block of Standfast written anew, with {}", type),
         "it is not as it should be, or not before every line that would take its logins"});
  }
  return base::ok();
}

// ---------------------------------------------------------------- the rest in words

void describe_rest(const PrimaryState& state, PrimaryPlan& plan) {
  if (!plan.restart_for.empty()) {
    plan.changes.push_back({ChangeKind::kRestart, "1.4", "restart of the server",
                            fmt::format("{} take{} effect at a start only", fmt::join(plan.restart_for, ", "),
                                        plan.restart_for.size() == 1 ? "s" : "")});
  }
  for (const auto& member : plan.members) {
    switch (member.slot_action) {
      case SlotAction::kKeep:
        break;
      case SlotAction::kCreate:
        plan.changes.push_back({ChangeKind::kSlot, "2.1", fmt::format("slot {}: created", member.slot),
                                fmt::format("keeps the WAL that {} still needs", member.address_cidr)});
        break;
      case SlotAction::kRecreate:
        plan.changes.push_back({ChangeKind::kSlot, "2.1",
                                fmt::format("slot {}: dropped and created anew", member.slot),
                                "it has lost WAL that its standby needs, which must be copied again"});
        break;
    }
    if (member.is_named && !state.tokens.contains(member.slot)) {
      plan.changes.push_back({ChangeKind::kToken, "2.1",
                              fmt::format("token for {}: written to the secret store", member.slot),
                              "\"standfast join\" on the standby needs it"});
    }
  }
}

void note_risks(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan) {
  if (!state.tls) {
    plan.notes.push_back({"ssl is off: data will travel in clear between the servers",
                          "Set ssl = on with a certificate, reload, and run this again; the new token makes "
                          "the standby insist on it."});
  }
  for (const auto& standby : wish.standbys) {
    if (!standby.is_network) continue;
    plan.notes.push_back({fmt::format("{} admits a whole network to the two roles", standby.cidr),
                          "Name the standby's own address, if it has one that stays."});
  }
}

/// Whether one entry of listen_addresses takes connections to `address`.
bool entry_admits(const std::string& entry, const pg::StandbyAddress& address) {
  const bool is_ipv6 = address.cidr.find(':') != std::string::npos;
  if (entry == "*") return true;
  if (entry == "0.0.0.0") return !is_ipv6;
  if (entry == "::") return is_ipv6;
  if (entry == "localhost") return address.cidr == "127.0.0.1/32" || address.cidr == "::1/128";
  const auto parsed = pg::parse_standby_address(entry);
  return parsed && parsed->cidr == address.cidr;
}

Result<void> refuse_broken_hba(const PrimaryState& state) {
  if (state.hba_errors.empty()) return base::ok();
  return Error(ErrorCode::kPrecondition,
               "pg_hba.conf is broken already, before any change: " + describe(state.hba_errors.front()),
               "Correct that line first: the server would not start with it. Nothing was changed.");
}

}  // namespace

bool admits(std::string_view listen_addresses, std::string_view address,
            const std::map<std::string, std::vector<std::string>, std::less<>>& resolved_names) {
  const auto wanted = pg::parse_standby_address(address);
  if (!wanted) return false;
  const auto entries = split_listen_addresses(listen_addresses);
  return std::any_of(entries.begin(), entries.end(), [&](const std::string& entry) {
    if (entry_admits(entry, *wanted)) return true;
    const auto resolved = resolved_names.find(entry);
    return resolved != resolved_names.end() &&
           std::any_of(resolved->second.begin(), resolved->second.end(),
                       [&](const std::string& one) { return entry_admits(one, *wanted); });
  });
}

Result<PrimaryWish> wish_of(const PrimarySetupOptions& options) {
  PrimaryWish wish;
  for (const auto& text : options.standbys) {
    auto standby = TRY(pg::parse_standby_address(text));
    const bool is_repeated = std::any_of(wish.standbys.begin(), wish.standbys.end(),
                                         [&](const auto& one) { return one.cidr == standby.cidr; });
    if (!is_repeated) wish.standbys.push_back(std::move(standby));
  }
  if (options.slot) {
    if (wish.standbys.size() != 1) {
      return Error(ErrorCode::kUsage, "--slot names the slot of one standby",
                   "Give exactly one --standby with it; more standbys take a run each.");
    }
    wish.slot = TRY(pg::valid_slot_name(*options.slot));
  }
  if (options.replication_role &&
      (options.replication_role->empty() || options.replication_role->size() > 63 ||
       options.replication_role->starts_with("pg_"))) {
    return Error(ErrorCode::kUsage, "the name of the replication role cannot be used",
                 "Choose one of at most 63 bytes that does not begin with \"pg_\".");
  }
  if (options.advertised_host) {
    const std::string& host = *options.advertised_host;
    const bool usable = !host.empty() && host.size() <= 255 && host.front() != '/' && host.front() != '@' &&
                        std::all_of(host.begin(), host.end(), [](char c) {
                          return c > ' ' && c <= '~' && c != ',' && c != '\'' && c != '\\';
                        });
    if (!usable) {
      return Error(ErrorCode::kUsage, "--advertise takes one host name or address",
                   "Give what the standby is to connect to, without a port.");
    }
  }
  if (options.replication_password) TRY(check_password(*options.replication_password));
  wish.replication_role = options.replication_role;
  wish.advertised_host = options.advertised_host;
  wish.listen_addresses = options.listen_addresses;
  wish.password_given = options.replication_password.has_value();
  wish.rotation = options.rotation;
  return wish;
}

std::string replication_role_name(const PrimaryWish& wish, const std::optional<pg::HbaBlock>& block) {
  if (wish.replication_role) return *wish.replication_role;
  if (block && !block->replication_role.empty()) return block->replication_role;
  return std::string(kDefaultReplicationRole);
}

Result<void> refuse_unfit_server(const ServerBasics& server) {
  if (!server.version.is_supported()) {
    return Error(ErrorCode::kVersion,
                 fmt::format("PostgreSQL {} is not supported", server.version.to_string()),
                 fmt::format("Standfast works with PostgreSQL {} to {}.", pg::Version::kOldestMajor,
                             pg::Version::kNewestMajor));
  }
  if (server.in_recovery) {
    return Error(ErrorCode::kPrecondition, "this server is itself a standby",
                 "Run this on its primary, and name the new standby there.");
  }
  if (!server.is_superuser) {
    return Error(ErrorCode::kPrecondition, fmt::format("role \"{}\" is not a superuser", server.user),
                 "Name a superuser with -U that pg_hba.conf lets this operating system user log in as.");
  }
  return base::ok();
}

std::uint64_t slot_wal_bound_mb(std::uint64_t free_bytes) {
  constexpr std::uint64_t kLeastMb = 1024;
  return std::max(free_bytes / 2 / kMegabyte, kLeastMb);
}

Result<std::string> hba_text_for_trying(const PrimaryState& state, const PrimaryPlan& plan,
                                        const std::string& own_address) {
  pg::HbaBlock block = plan.block;
  const pg::HbaFile own_rules = TRY(pg::parse_hba(block.render(), dialect_of(state)));
  const pg::HbaConnection login{std::nullopt, block.replication_role, own_address, block.encryption};
  const auto hit = pg::first_rule_for(own_rules, login);
  if (hit && hit->match == pg::HbaMatch::kYes) return plan.hba_text;
  block.probe_address_cidr = TRY(pg::parse_standby_address(own_address)).cidr;
  return pg::with_block(state.hba_text, block, dialect_of(state));
}

Result<PrimaryPlan> plan_primary(const PrimaryState& state, const PrimaryWish& wish) {
  TRY(refuse_unfit_server(state.server));
  TRY(refuse_broken_hba(state));
  PrimaryPlan plan;
  plan.members = TRY(plan_members(state, wish));
  TRY(SettingsPlanner(state, wish, plan).run());
  TRY(plan_roles(state, wish, plan));
  TRY(plan_database(state, plan));
  TRY(plan_hba(state, plan));
  plan.try_logins = plan.hba_changes || plan.replication.changes_server() || plan.monitor.changes_server() ||
                    plan.database.create ||
                    std::any_of(plan.members.begin(), plan.members.end(), [&](const auto& member) {
                      return member.is_named && !state.tokens.contains(member.slot);
                    });
  describe_rest(state, plan);
  note_risks(state, wish, plan);
  return plan;
}

}  // namespace standfast::setup
