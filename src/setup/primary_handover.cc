// What the standby is given: slots, tokens or the manual way, the firewall's command; and the run as a whole.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "net/listener.h"
#include "setup/firewall.h"
#include "setup/names.h"
#include "setup/primary_plan_parts.h"
#include "setup/primary_run.h"
#include "setup/primary_tokens.h"

namespace standfast::setup {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr base::Seconds kCloseFirewallTimeout{120};

}  // namespace

// ---------------------------------------------------------------- slots, tokens, firewall

bool PrimaryRun::can_create_slots() const {
  if (decision_ != RestartDecision::kDeclined) return true;
  const auto waits = [this](std::string_view name) {
    return std::find(plan_.restart_for.begin(), plan_.restart_for.end(), name) != plan_.restart_for.end();
  };
  return !waits("wal_level") && !waits("max_replication_slots");
}

Result<void> PrimaryRun::create_slots() {
  report().step("2.1", "slots and tokens");
  if (!can_create_slots()) {
    report().info("they wait for the restart");
    return base::ok();
  }
  if (decision_ == RestartDecision::kDeclined) {
    say_changes({ChangeKind::kSlot});
    report().info("the tokens wait for the restart");
  } else {
    say_changes({ChangeKind::kSlot, ChangeKind::kToken});
  }
  for (const PlannedMember& member : plan_.members) {
    const std::optional<std::string> parameters[] = {member.slot};
    if (member.slot_action == SlotAction::kRecreate) {
      TRY(admin_->query("SELECT pg_drop_replication_slot($1)", parameters, wait()));
    }
    if (member.slot_action != SlotAction::kKeep) {
      // Unreserved: it holds back no WAL before its standby has used it.
      TRY(admin_->query("SELECT pg_create_physical_replication_slot($1, false)", parameters, wait()));
    }
  }
  count_done(ChangeKind::kSlot);
  return base::ok();
}

namespace {

PrimaryMember describe(const PlannedMember& member, const PrimaryWish& wish) {
  PrimaryMember described;
  described.kind = member.kind;
  described.slot = member.slot;
  described.port = member.port;
  described.address_cidr = member.address_cidr;
  described.host = host_for(member, wish);
  return described;
}

}  // namespace

std::vector<PrimaryMember> describe_named(const PrimaryPlan& plan, const PrimaryWish& wish) {
  std::vector<PrimaryMember> members;
  for (const PlannedMember& member : plan.members) {
    if (member.is_named) members.push_back(describe(member, wish));
  }
  return members;
}

Result<void> PrimaryRun::write_tokens() {
  const PrimaryState& state = look_->state;
  if (state.tls && !certificate_) {
    // No standby's route leads here; the name it uses is all there is to ask.
    TRY(fetch_certificate(wish_.advertised_host.value_or("localhost")));
  }
  TokenBasis basis{state.system_id,
                   state.port,
                   plan_.replication.name,
                   *look_->passwords.replication,
                   *look_->passwords.monitor,
                   std::nullopt,
                   ca_der_};
  if (certificate_) basis.certificate_sha256 = certificate_->sha256_hex;
  const auto count = [&](const PlannedMember& member, client::SecretStore::Written written) {
    if (written == client::SecretStore::Written::kUnchanged) return;
    const bool is_new = written == client::SecretStore::Written::kNew;
    const std::string reason = is_new ? std::string(token_purpose(member.kind))
                                      : "a password, an address or the certificate is another now";
    const std::string what =
        fmt::format("token for {}: {}", member.slot, is_new ? "written to the secret store" : "renewed");
    const auto planned = std::find_if(plan_.changes.begin(), plan_.changes.end(),
                                      [&](const PlannedChange& change) { return change.what == what; });
    if (planned != plan_.changes.end()) {
      done_.push_back(*planned);  // and was told already
      return;
    }
    done_.push_back({ChangeKind::kToken, "2.1", what, reason});
    report().info(fmt::format("{} ({})", what, reason));
  };
  for (const PlannedMember& member : plan_.members) {
    if (!member.is_named) {
      if (const auto renewed = TRY(renew_token(store_, basis, member.slot))) count(member, renewed->written);
      continue;
    }
    PrimaryMember described = describe(member, wish_);
    const bool is_witness = member.kind == MemberKind::kWitness;
    const auto kind = is_witness ? pg::TokenKind::kWitness : pg::TokenKind::kStandby;
    TokenHolder holder{kind, member.slot, described.host};
    if (!is_witness) holder.agent = TRY(agent_for(member));
    WrittenToken token = TRY(write_token(store_, basis, holder));
    count(member, token.written);
    if (options_.token == TokenWish::kToken) {
      described.token = std::move(token.text);
      described.token_path = token.path;
    } else {
      ManualWay way{member.slot,
                    described.host,
                    state.port,
                    plan_.replication.name,
                    store_.path_of(state.system_id, kPrimaryPassfile),
                    std::nullopt,
                    net::to_string({shown_address(member.address_cidr), member.port})};
      if (certificate_) way.certificate_path = store_.path_of(state.system_id, kPrimaryCertificate);
      described.manual = is_witness ? manual_witness_commands(way) : manual_commands(way);
    }
    members_.push_back(std::move(described));
  }
  return base::ok();
}

Result<void> PrimaryRun::ask_firewall(PrimaryState& state) {
  if (environment_.root == nullptr) {
    return Error(ErrorCode::kPermission, "only root may change the firewall",
                 "Run this as root, or without --open-firewall, which prints the command to run.");
  }
  std::vector<std::string> named;
  for (const auto& standby : wish_.standbys) named.push_back(standby.cidr);
  for (const auto& witness : wish_.witnesses) named.push_back(witness.address.cidr);
  for (const std::string& cidr : named) {
    if (is_loopback(cidr)) continue;
    state.firewall[cidr] =
        TRY(environment_.root->change_firewall({server::FirewallAction::kAsk, cidr, state.port}, wait()));
  }
  if (!wish_.agent) return base::ok();
  // A witness has no business with the agent.
  const std::uint16_t port = agent_port(*wish_.agent, state.agent ? state.agent->listen : AgentAddresses{});
  for (const auto& standby : wish_.standbys) {
    if (is_loopback(standby.cidr)) continue;
    state.agent_firewall[standby.cidr] =
        TRY(environment_.root->change_firewall({server::FirewallAction::kAsk, standby.cidr, port}, wait()));
  }
  return base::ok();
}

Result<void> PrimaryRun::open_firewall() {
  report().step("1.5", "firewall");
  if (options_.firewall == FirewallWish::kTell) {
    tell_firewall();
    return base::ok();
  }
  const auto& found = look_->state.firewall;
  const bool none = std::none_of(found.begin(), found.end(),
                                 [](const auto& one) { return one.second != server::FirewallAnswer::kNone; });
  none ? report().info("none is active on this host") : say_changes({ChangeKind::kFirewall});
  for (const FirewallOpening& opening : plan_.firewall_openings) {
    opened_.push_back(opening);  // before it is: half of it may be done when it fails
    TRY(environment_.root->change_firewall(
        {server::FirewallAction::kOpen, opening.address_cidr, opening.port}, wait()));
  }
  count_done(ChangeKind::kFirewall);
  return base::ok();
}

/// Of a run that failed: what it opened is closed again. Root does one thing after the other, so this waits
/// for an opening that was given up as well.
void PrimaryRun::close_firewall() {
  for (const auto& [address, port] : opened_) {
    const auto answer = environment_.root->change_firewall({server::FirewallAction::kClose, address, port},
                                                           env::Wait::for_at_most(kCloseFirewallTimeout));
    if (answer && (*answer == server::FirewallAnswer::kClosed || *answer == server::FirewallAnswer::kNone)) {
      continue;
    }
    const auto firewall = find_firewall(environment_.files);
    report().warn(fmt::format("the firewall may still let {} in to port {}{}", address, port,
                              answer ? "" : ": " + answer.error().message),
                  firewall && *firewall ? "As root: " + closing_command((*firewall)->kind, address, port)
                                        : "Look at its rules.");
  }
  opened_.clear();
}

void PrimaryRun::tell_firewall() const {
  const auto firewall = find_firewall(environment_.files);
  bool any = false;
  for (const PlannedMember& member : plan_.members) {
    if (!member.is_named || is_loopback(member.address_cidr)) continue;
    any = true;
    if (!firewall || !*firewall) continue;
    const Firewall kind = (*firewall)->kind;
    report().info("if it is active, let it in (or run this as root with --open-firewall): " +
                  firewall_command(kind, member.address_cidr, look_->state.port));
    if (!plan_.agent) continue;
    if (const auto place = plan_.agent->called_at.find(member.slot); place != plan_.agent->called_at.end()) {
      report().info("and to the agent: " + firewall_command(kind, member.address_cidr, place->second.port));
    }
  }
  if (!any) {
    report().info("none stands between servers on one host");
  } else if (!firewall || !*firewall) {
    report().info("no firewall-cmd and no ufw on this host; nothing to open as far as can be seen");
  }
}

// ---------------------------------------------------------------- all of it

PrimarySetupOutcome PrimaryRun::outcome() const {
  PrimarySetupOutcome outcome;
  outcome.system_id = look_->state.system_id;
  outcome.port = look_->state.port;
  outcome.is_standby = look_->state.server.in_recovery;
  outcome.restart_command = restart_command_;
  outcome.members = members_;
  outcome.agent = agent_;
  if (options_.mode == RunMode::kDryRun) {
    outcome.changes = plan_.changes;
    outcome.verdict = plan_.changes.empty() ? PrimaryVerdict::kUnchanged : PrimaryVerdict::kPlanned;
    return outcome;
  }
  outcome.changes = done_;
  outcome.verdict = done_.empty() ? PrimaryVerdict::kUnchanged : PrimaryVerdict::kChanged;
  if (decision_ == RestartDecision::kDeclined) {
    outcome.pending_restart = plan_.restart_for;
    outcome.verdict = PrimaryVerdict::kPendingRestart;
  }
  return outcome;
}

Result<PrimarySetupOutcome> PrimaryRun::run() {
  TRY(open_and_lock());
  look_ = TRY(look());
  plan_ = TRY(plan_primary(look_->state, wish_));
  find_restart_command();
  say_notes();
  if (options_.mode == RunMode::kDryRun) {
    members_ = describe_named(plan_, wish_);
    return outcome();
  }
  TRY(decide_restart());
  TRY(change_settings());
  TRY(change_roles_and_database());
  TRY(change_hba_and_restart());
  if (reach_ == ServerReach::kPrivate) {
    members_ = describe_named(plan_, wish_);
    return outcome();
  }
  auto finished = finish();
  if (!finished) {
    close_firewall();
    return std::move(finished).error();
  }
  return outcome();
}

/// What the standby is given.
Result<void> PrimaryRun::finish() {
  TRY(open_firewall());
  TRY(set_up_agent());
  TRY(create_slots());
  if (decision_ != RestartDecision::kDeclined) return write_tokens();
  members_ = describe_named(plan_, wish_);
  return base::ok();
}

}  // namespace standfast::setup
