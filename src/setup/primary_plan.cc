#include "setup/primary_plan.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "pg/format/sql_text.h"
#include "setup/primary_plan_parts.h"
#include "setup/scram.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

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
      // A standby has its primary's block by the copy. Whom that one serves is not whom this one does.
      const bool is_ours = !state.server.in_recovery || state.tokens.contains(member.slot);
      member.is_named = wish.standbys.empty() && is_ours;
      members.push_back(std::move(member));
    }
  }
  for (const auto& standby : wish.standbys) TRY(name_member(state, wish, standby.cidr, members));
  if (std::none_of(members.begin(), members.end(), [](const auto& member) { return member.is_named; })) {
    return Error(ErrorCode::kUsage, "no standby is named, and none is known from an earlier run",
                 "Say which host is to be the standby: --standby ADDRESS.");
  }
  for (auto& member : members) {
    const auto route = std::find_if(state.routes.begin(), state.routes.end(), [&](const Route& one) {
      return one.address_cidr == member.address_cidr;
    });
    if (route != state.routes.end()) member.source_address = route->source_address;
    // This very host, by the block that came with the copy: it does not connect to itself.
    if (state.server.in_recovery && !member.is_named && member.source_address &&
        *member.source_address == shown_address(member.address_cidr))
      member.source_address.reset();
    if (!member.is_named) continue;
    if (!member.source_address && !wish.advertised_host) {
      return Error(ErrorCode::kPrecondition,
                   fmt::format("there is no route from this host to {}", shown_address(member.address_cidr)),
                   "Check the address; or say with --advertise by which host name or address that standby "
                   "reaches this server.");
    }
    TRY(plan_slot(state, member));
  }
  return members;
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
  for (const auto& [address, answer] : state.firewall) {
    if (answer == server::FirewallAnswer::kPartly) {
      plan.notes.push_back({fmt::format("firewalld lets {} in only until its next reload, or only after it",
                                        shown_address(address)),
                            "Settle it with firewall-cmd --runtime-to-permanent, or with --reload."});
    }
    if (answer != server::FirewallAnswer::kClosed) continue;
    plan.firewall_openings.push_back(address);
    plan.changes.push_back({ChangeKind::kFirewall, "1.5",
                            fmt::format("firewall: {} let in to port {}", shown_address(address), state.port),
                            "the standby connects from there"});
  }
  for (const auto& member : plan.members) {
    switch (member.slot_action) {
      case SlotAction::kKeep:
        break;
      case SlotAction::kCreate:
        plan.changes.push_back(
            {ChangeKind::kSlot, "2.1", fmt::format("slot {}: created", member.slot),
             fmt::format("keeps the WAL that {} still needs", shown_address(member.address_cidr))});
        break;
      case SlotAction::kRecreate:
        plan.changes.push_back({ChangeKind::kSlot, "2.1",
                                fmt::format("slot {}: dropped and created anew", member.slot),
                                "it has lost WAL that its standby needs, which must be copied again"});
        break;
    }
  }
}

void note_standby(const PrimaryState& state, PrimaryPlan& plan) {
  if (!state.server.in_recovery) return;
  plan.notes.push_back(
      {"this server is itself a standby (--from-standby): roles, passwords and the database of verify come "
       "from its primary by replication, and the standby that joins follows this one"});
  for (const auto& member : plan.members) {
    if (!member.is_named) continue;
    plan.notes.push_back({fmt::format(
        "verify on {0} writes its marker on the primary if that one's pg_hba.conf admits it: {1} "
        "{2} {3} {0} scram-sha-256",
        member.address_cidr, state.tls ? "hostssl" : "host", kMonitorDatabase, kMonitorRole)});
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

Result<void> refuse_broken_hba(const PrimaryState& state) {
  if (state.hba_errors.empty()) return base::ok();
  return Error(ErrorCode::kPrecondition,
               "pg_hba.conf is broken already, before any change: " + describe(state.hba_errors.front()),
               "Correct that line first: the server would not start with it. Nothing was changed.");
}

/// Of a server that nothing is changed on it is only told.
Result<void> refuse_broken_configuration(const PrimaryState& state, PrimaryPlan& plan) {
  if (state.configuration_errors.empty()) return base::ok();
  const ConfigurationError& first = state.configuration_errors.front();
  std::string what = fmt::format("the server's configuration is broken already: line {} of \"{}\": {}",
                                 first.line.line_number, first.line.file, first.message);
  std::string hint = "Correct that line: the server would not start again with it.";
  if (plan.changes.empty()) {
    plan.notes.push_back({std::move(what), std::move(hint)});
    return base::ok();
  }
  return Error(ErrorCode::kPrecondition, std::move(what), hint + " Nothing was changed.");
}

Error hba_cannot_change(const PrimaryState& state, const PrimaryPlan& plan) {
  const std::string block = plan.block.render();
  const std::size_t begin = plan.hba_text.find(block.substr(0, block.find('\n')));
  const auto lines_before =
      std::count(plan.hba_text.begin(), plan.hba_text.begin() + static_cast<std::ptrdiff_t>(begin), '\n');
  return Error(
      ErrorCode::kPermission, "pg_hba.conf cannot be changed: " + *state.hba_obstacle,
      fmt::format("Nothing was changed. Give the file and its folder to the server's user and a group "
                  "of his (chown) and make them writable; or put this into it yourself{}, before "
                  "what is line {} now, reload the server, and run this again:\n{}",
                  state.hba_block ? ", in place of the block that is there" : "", lines_before + 1, block));
}

/// Nothing in the database of a standby can be changed there.
Result<void> refuse_what_only_the_primary_can_do(const PrimaryState& state, const PrimaryPlan& plan) {
  if (!state.server.in_recovery) return base::ok();
  std::string what;
  const DatabasePlan& database = plan.database;
  if (database.create || database.shut_out_public || database.create_table)
    what = fmt::format("database {}", kMonitorDatabase);
  if (plan.monitor.changes_server()) what = fmt::format("role {}", plan.monitor.name);
  if (plan.replication.changes_server()) what = fmt::format("role {}", plan.replication.name);
  if (what.empty()) return base::ok();
  return Error(
      ErrorCode::kPrecondition,
      fmt::format("the {} is not as it has to be, and this server is a standby, where that cannot be "
                  "changed",
                  what),
      "Run \"standfast primary setup\" on its primary first: what it makes arrives here by "
      "replication.");
}

/// On a standby the way out is another one: a password is known here from its own join.
Result<void> plan_roles_of(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan) {
  auto planned = plan_roles(state, wish, plan);
  if (planned || !state.server.in_recovery || planned.error().code == ErrorCode::kUsage) return planned;
  return std::move(planned).error().with_hint(
      "This server is a standby: put its roles right on the primary, with \"standfast primary setup\". Their "
      "passwords are known here once \"standfast join\" has been run here with the token it gives.");
}

}  // namespace

std::string shown_address(const std::string& cidr) {
  const bool is_single = cidr.ends_with(cidr.find(':') == std::string::npos ? "/32" : "/128");
  return is_single ? cidr.substr(0, cidr.find('/')) : cidr;
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
    return Error(
        ErrorCode::kUsage,
        fmt::format("the replication role cannot be called \"{}\"", options.replication_role->substr(0, 80)),
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
  if (options.firewall == FirewallWish::kOpen && wish.standbys.empty()) {
    return Error(ErrorCode::kUsage, "--open-firewall opens it to what is named with --standby, and none is",
                 "Name the standby again: --standby ADDRESS.");
  }
  if (options.replication_password) TRY(check_password(*options.replication_password));
  wish.replication_role = options.replication_role;
  wish.advertised_host = options.advertised_host;
  wish.listen_addresses = options.listen_addresses;
  wish.password_given = options.replication_password.has_value();
  wish.rotation = options.rotation;
  wish.ca_pem = options.ca_pem.value_or("");
  wish.on_standby = options.on_standby;
  return wish;
}

std::string replication_role_name(const PrimaryWish& wish, const std::optional<pg::HbaBlock>& block) {
  if (wish.replication_role) return *wish.replication_role;
  if (block && !block->replication_role.empty()) return block->replication_role;
  return std::string(kDefaultReplicationRole);
}

Result<void> refuse_unfit_server(const ServerBasics& server, OnStandby on_standby) {
  if (!server.version.is_supported()) {
    return Error(ErrorCode::kVersion,
                 fmt::format("PostgreSQL {} is not supported", server.version.to_string()),
                 fmt::format("Standfast works with PostgreSQL {} to {}.", pg::Version::kOldestMajor,
                             pg::Version::kNewestMajor));
  }
  if (server.in_recovery && on_standby == OnStandby::kRefuse) {
    return Error(ErrorCode::kPrecondition, "this server is itself a standby",
                 "Run this on its primary, and name the new standby there; or add --from-standby, if the new "
                 "standby is to follow this one.");
  }
  if (!server.is_superuser) {
    return Error(ErrorCode::kPrecondition, fmt::format("role \"{}\" is not a superuser", server.user),
                 "Name a superuser with -U that pg_hba.conf lets this operating system user log in as.");
  }
  return base::ok();
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
  TRY(refuse_unfit_server(state.server, wish.on_standby));
  TRY(refuse_broken_hba(state));
  PrimaryPlan plan;
  plan.members = TRY(plan_members(state, wish));
  TRY(plan_certificate(state, wish, plan));
  TRY(plan_settings(state, wish, plan));
  TRY(plan_roles_of(state, wish, plan));
  TRY(plan_database(state, plan));
  TRY(refuse_what_only_the_primary_can_do(state, plan));
  TRY(plan_hba(state, plan));
  plan.try_logins = plan.hba_changes || plan.replication.changes_server() || plan.monitor.changes_server() ||
                    plan.database.create ||
                    std::any_of(plan.members.begin(), plan.members.end(), [&](const auto& member) {
                      return member.is_named && !state.tokens.contains(member.slot);
                    });
  if (plan.hba_changes && state.hba_obstacle) return hba_cannot_change(state, plan);
  describe_rest(state, plan);
  plan_tokens(state, wish, plan);
  TRY(refuse_broken_configuration(state, plan));
  note_standby(state, plan);
  note_risks(state, wish, plan);
  return plan;
}

}  // namespace standfast::setup
