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

Result<void> name_member(const PrimaryState& state, const PrimaryWish& wish, const std::string& address_cidr,
                         std::vector<PlannedMember>& members) {
  const auto find = [&members](const auto& predicate) {
    return std::find_if(members.begin(), members.end(), predicate);
  };
  auto member =
      wish.slot ? find([&](const auto& one) { return one.slot == *wish.slot; }) : find([&](const auto& one) {
        return one.kind == MemberKind::kStandby && one.address_cidr == address_cidr;
      });
  if (member == members.end()) {
    PlannedMember added;
    added.slot = wish.slot ? *wish.slot : next_slot_name(state, members, kDefaultSlotPrefix);
    added.address_cidr = address_cidr;
    TRY(check_slot_is_free(state, added.slot, address_cidr));
    member = members.insert(members.end(), std::move(added));
  } else if (member->kind == MemberKind::kWitness) {
    return Error(ErrorCode::kSlot, fmt::format("slot \"{}\" is a witness's", member->slot),
                 "Give the standby a slot of another name with --slot.");
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
                 "Give the member a slot of another name (--slot of a standby, =NAME of a witness).");
  } else if (slot->second.is_lost && !slot->second.is_active) {
    member.slot_action = SlotAction::kRecreate;
  }
  return base::ok();
}

/// What is known of it besides its line in pg_hba.conf. One without a row was taken out by the administrator.
void recall_witness(const PrimaryState& state, PlannedMember& member) {
  const auto row = std::find_if(state.witnesses.begin(), state.witnesses.end(),
                                [&](const KnownWitness& one) { return one.name == member.slot; });
  if (row == state.witnesses.end() || state.server.in_recovery) member.is_named = false;
  if (row != state.witnesses.end()) member.port = row->port;
}

Result<std::vector<PlannedMember>> plan_members(const PrimaryState& state, const PrimaryWish& wish) {
  std::vector<PlannedMember> members;
  if (state.server.in_recovery && !wish.witnesses.empty()) {
    return Error(ErrorCode::kPrecondition, "this server is a standby, and a witness keeps the primary's WAL",
                 "Run this with --witness on the primary.");
  }
  const bool names_nobody = wish.standbys.empty() && wish.witnesses.empty();
  if (state.hba_block) {
    for (const auto& entry : state.hba_block->members) {
      PlannedMember member;
      member.kind = entry.kind;
      member.slot = entry.slot_name;
      member.address_cidr = entry.address_cidr;
      // A standby has its primary's block by the copy. Whom that one serves is not whom this one does.
      const bool is_ours = !state.server.in_recovery || state.tokens.contains(member.slot);
      member.is_named = names_nobody && is_ours;
      if (member.kind == MemberKind::kWitness) recall_witness(state, member);
      members.push_back(std::move(member));
    }
  }
  for (const auto& standby : wish.standbys) TRY(name_member(state, wish, standby.cidr, members));
  for (const auto& witness : wish.witnesses) TRY(name_witness(state, witness, members));
  if (std::none_of(members.begin(), members.end(), [](const auto& member) { return member.is_named; })) {
    return Error(ErrorCode::kUsage, "no standby is named, and none is known from an earlier run",
                 "Say which host is to be the standby: --standby ADDRESS; or which is to be the witness: "
                 "--witness ADDRESS.");
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
                   "Check the address; or say with --advertise by which host name or address that host "
                   "reaches this server.");
    }
    TRY(plan_slot(state, member));
  }
  return members;
}

// ---------------------------------------------------------------- pg_hba.conf

Result<void> plan_hba(const PrimaryState& state, PrimaryPlan& plan) {
  plan.block.replication_role = plan.replication.name;
  plan.block.monitor_role = plan.monitor.name;
  plan.block.monitor_database = kMonitorDatabase;
  plan.block.encryption = state.tls ? pg::Encryption::kTls : pg::Encryption::kPlain;
  for (const auto& member : plan.members) {
    plan.block.members.push_back({member.slot, member.address_cidr, member.kind});
  }
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
         entry.kind == MemberKind::kWitness
             ? fmt::format("the witness {} logs in from there, for replication alone", entry.slot_name)
             : fmt::format("the standby with slot {} logs in from there", entry.slot_name)});
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

void describe_openings(const std::map<std::string, server::FirewallAnswer, std::less<>>& answers,
                       std::uint16_t port, PrimaryPlan& plan) {
  for (const auto& [address, answer] : answers) {
    if (answer == server::FirewallAnswer::kPartly) {
      plan.notes.push_back({fmt::format("firewalld lets {} in only until its next reload, or only after it",
                                        shown_address(address)),
                            "Settle it with firewall-cmd --runtime-to-permanent, or with --reload."});
    }
    if (answer != server::FirewallAnswer::kClosed) continue;
    plan.firewall_openings.push_back({address, port});
    plan.changes.push_back({ChangeKind::kFirewall, "1.5",
                            fmt::format("firewall: {} let in to port {}", shown_address(address), port),
                            "it connects from there"});
  }
}

void describe_restart_and_firewall(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan) {
  if (!plan.restart_for.empty()) {
    plan.changes.push_back({ChangeKind::kRestart, "1.4", "restart of the server",
                            fmt::format("{} take{} effect at a start only", fmt::join(plan.restart_for, ", "),
                                        plan.restart_for.size() == 1 ? "s" : "")});
  }
  describe_openings(state.firewall, state.port, plan);
  if (wish.agent) {
    describe_openings(state.agent_firewall,
                      agent_port(*wish.agent, state.agent ? state.agent->listen : AgentAddresses{}), plan);
  }
}

void describe_slots(PrimaryPlan& plan) {
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
                                member.kind == MemberKind::kWitness
                                    ? "it has lost WAL that its witness has not got, which begins anew"
                                    : "it has lost WAL that its standby needs, which must be copied again"});
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

pg::HbaDialect dialect_of(const PrimaryState& state) {
  return state.server.version.hba_lines_continue() ? pg::HbaDialect::kWithContinuation
                                                   : pg::HbaDialect::kWithoutContinuation;
}

Result<void> refuse_broken_hba(const PrimaryState& state) {
  if (state.hba_errors.empty()) return base::ok();
  return Error(ErrorCode::kPrecondition,
               "pg_hba.conf is broken already, before any change: " + describe(state.hba_errors.front()),
               "Correct that line first: the server would not start with it. Nothing was changed.");
}

std::string shown_address(const std::string& cidr) {
  const bool is_single = cidr.ends_with(cidr.find(':') == std::string::npos ? "/32" : "/128");
  return is_single ? cidr.substr(0, cidr.find('/')) : cidr;
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
  const auto is_admitted = [&](const std::optional<std::string>& database, const std::string& role) {
    const auto hit = pg::first_rule_for(own_rules, {database, role, own_address, block.encryption});
    return hit && hit->match == pg::HbaMatch::kYes;
  };
  if (is_admitted(std::nullopt, block.replication_role) &&
      is_admitted(block.monitor_database, block.monitor_role))
    return plan.hba_text;
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
  plan_witnesses(state, plan);
  TRY(refuse_what_only_the_primary_can_do(state, plan));
  TRY(plan_hba(state, plan));
  plan.try_logins = plan.hba_changes || plan.replication.changes_server() || plan.monitor.changes_server() ||
                    plan.database.create ||
                    std::any_of(plan.members.begin(), plan.members.end(), [&](const auto& member) {
                      return member.is_named && !state.tokens.contains(member.slot);
                    });
  if (plan.hba_changes && state.hba_obstacle) return hba_cannot_change(state, plan);
  describe_restart_and_firewall(state, wish, plan);
  TRY(plan_agent(state, wish, plan));
  describe_slots(plan);
  plan_tokens(state, wish, plan);
  TRY(refuse_broken_configuration(state, plan));
  note_standby(state, plan);
  note_risks(state, wish, plan);
  return plan;
}

}  // namespace standfast::setup
