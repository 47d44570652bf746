// The part of a plan for the cluster's members and the agent.
#include <algorithm>

#include <fmt/format.h>

#include "agent/certificate.h"
#include "setup/primary_plan_parts.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// There is one authority for a cluster: two hosts that trust another one each would be strangers.
Result<void> refuse_second_authority(const PrimaryState& state, const AgentState& agent) {
  if (agent.has_authority) return base::ok();
  if (agent.is_member_elsewhere) {
    return Error(
        ErrorCode::kPrecondition,
        "this host is a member of the cluster already, and the cluster's certificate authority lies on "
        "another one",
        "Its agent is started by \"standfast agent --background -D DIR\"; tokens for new members are made "
        "on the host of the authority, or here once its folder ca is in this host's secret store.");
  }
  if (!state.server.in_recovery) return base::ok();
  return Error(
      ErrorCode::kPrecondition,
      "this server is a standby, and the cluster's certificate authority is made on its primary",
      "Run \"standfast primary setup --agent\" there, and \"standfast join --agent\" here with the token "
      "it gives.");
}

/// Those that this host has towards its standbys, named or not.
std::vector<std::string> own_addresses(const PrimaryPlan& plan) {
  std::vector<std::string> addresses;
  for (const PlannedMember& member : plan.members) {
    if (member.kind == MemberKind::kStandby && member.source_address)
      addresses.push_back(*member.source_address);
  }
  return addresses;
}

/// Its secret is spent where it is a member, and lost where it is not one.
bool needs_secret(const PrimaryState& state, const AgentState& agent, const std::string& slot) {
  const auto token = state.tokens.find(slot);
  if (token == state.tokens.end() || !token->second.agent) return true;
  const TokenAgentState& said = *token->second.agent;
  if (!agent.has_authority || said.ca_sha256 != agent.ca_sha256) return true;
  return !said.is_secret_good && !agent.members.contains(slot);
}

Result<void> plan_standbys(const PrimaryState& state, const PrimaryWish& wish, const AgentState& agent,
                           PrimaryPlan& plan) {
  for (const PlannedMember& member : plan.members) {
    if (member.kind != MemberKind::kStandby || !member.is_named) continue;
    if (!agent::is_member_name(member.slot)) {
      return Error(ErrorCode::kUsage, fmt::format("\"{}\" cannot be the name of a member", member.slot),
                   "Give that standby a slot whose name begins with a letter or a digit, with --slot.");
    }
    plan.agent->called_at[member.slot] =
        place_to_call(plan.agent->listen, member.source_address.value_or(""), host_for(member, wish));
    if (needs_secret(state, agent, member.slot)) plan.agent->invited.insert(member.slot);
  }
  return base::ok();
}

void describe_agent(PrimaryPlan& plan) {
  const AgentPlan& agent = *plan.agent;
  const auto add = [&](std::string what, std::string reason) {
    plan.changes.push_back({ChangeKind::kAgent, "1.6", std::move(what), std::move(reason)});
  };
  if (agent.make_authority) {
    add("the cluster's certificate authority: made, in the secret store",
        "members know each other by its certificates");
  }
  if (agent.make_member) add("this host: a key and a certificate", "it is a member, too");
  switch (agent.start) {
    case AgentStart::kNone:
      break;
    case AgentStart::kStart:
      add(fmt::format("agent: started, on {}", to_string(agent.listen)), "--agent; it does not run");
      break;
    case AgentStart::kRestart:
      add(fmt::format("agent: started anew, on {}", to_string(agent.listen)),
          agent.make_member ? "it runs with what counts no more" : "it listens elsewhere");
      break;
  }
}

}  // namespace

Result<void> plan_agent(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan) {
  if (!wish.agent) return base::ok();
  const AgentState agent = state.agent.value_or(AgentState{});
  TRY(refuse_second_authority(state, agent));
  plan.agent.emplace();
  plan.agent->listen = TRY(addresses_to_listen_on(*wish.agent, agent.listen, own_addresses(plan)));
  plan.agent->make_authority = !agent.has_authority;
  plan.agent->make_member = !agent.has_authority || !agent.is_member;
  plan.agent->start = start_for(plan.agent->listen, agent.listen, agent.answering);
  if (plan.agent->start == AgentStart::kNone && plan.agent->make_member)
    plan.agent->start = AgentStart::kRestart;
  TRY(plan_standbys(state, wish, agent, plan));
  describe_agent(plan);
  return base::ok();
}

}  // namespace standfast::setup
