// The agent of the primary's host: the cluster's authority, this host's own membership, the start, and what
// the tokens say of it.
#include <utility>

#include <fmt/format.h>

#include "agent/certificate_authority.h"
#include "agent/membership_files.h"
#include "base/check.h"
#include "setup/agent_look.h"
#include "setup/agent_start.h"
#include "setup/primary_run.h"
#include "setup/primary_tokens.h"

namespace standfast::setup {

using base::Result;

namespace {

/// A token lies on another host for as long as it takes somebody to run join there.
constexpr std::chrono::hours kInvitationLife{24 * 7};
constexpr std::chrono::hours kOwnInvitationLife{1};

}  // namespace

/// As every other member, but that it need not ask over the network.
Result<void> PrimaryRun::become_member(agent::Members& members) {
  const agent::UnixSeconds now = wall_clock_now();
  const base::Secret secret = TRY(members.invite(own_member_name(), now + kOwnInvitationLife, now));
  const base::Secret key = TRY(agent::make_key());
  const std::string request = TRY(agent::make_request(key));
  const agent::Membership membership = TRY(members.admit(secret, request, now));
  return agent::MembershipFiles(store_, look_->state.system_id).save(key, membership);
}

Result<void> PrimaryRun::set_up_agent() {
  if (!plan_.agent) return base::ok();
  const AgentPlan& plan = *plan_.agent;
  report().step("1.6", "agent");
  say_changes({ChangeKind::kAgent});
  authority_ = TRY(agent::Members::create(store_, look_->state.system_id, wall_clock_now(), {}));
  if (plan.make_member) TRY(become_member(*authority_));
  agent_.emplace();
  for (const net::HostPort& one : plan.listen) agent_->listen.push_back(to_string(AgentAddresses{one}));
  agent_->ca_sha256 = TRY(agent::fingerprint_of(authority_->ca_pem()));
  AgentToStart agent{.data_directory = cluster_.data_directory(), .listen = plan.listen, .how = plan.start};
  agent.superuser = options_.superuser;
  agent.database = options_.maintenance_database;
  auto started = start_agent(agent, agent::MembershipFiles(store_, look_->state.system_id), environment_);
  for (const PlannedChange& change : plan_.changes) {
    const bool is_start = change.what.starts_with("agent: ");
    if (change.kind == ChangeKind::kAgent && (started || !is_start)) done_.push_back(change);
  }
  if (!started) {
    if (started.error().code == base::ErrorCode::kCancelled) return std::move(started).error();
    report().warn(started.error().message, started.error().hint);
    agent_->failure = std::move(started).error();
    return base::ok();
  }
  if (plan.start == AgentStart::kNone) return base::ok();
  report().info(fmt::format("it runs; started with: {}", *started));
  agent_->started = *std::move(started);
  return base::ok();
}

/// Where no agent is wished for, what an earlier run said stays.
Result<std::optional<pg::TokenAgent>> PrimaryRun::agent_for(const PlannedMember& member) {
  const pg::SystemId system_id = look_->state.system_id;
  auto said = TRY(agent_of_token(store_, system_id, member.slot));
  if (!plan_.agent) return said;
  CHECK(agent_.has_value());
  const net::HostPort& place = plan_.agent->called_at.find(member.slot)->second;
  const bool keeps_secret = said && !plan_.agent->invited.contains(member.slot);
  const agent::UnixSeconds now = wall_clock_now();
  pg::TokenAgent wanted{.host = place.host, .port = place.port, .ca_sha256 = agent_->ca_sha256, .secret = {}};
  wanted.secret = keeps_secret ? std::move(said->secret)
                               : TRY(authority_->invite(member.slot, now + kInvitationLife, now));
  return std::optional(std::move(wanted));
}

}  // namespace standfast::setup
