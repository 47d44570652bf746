// The agents in a join: the source's, which makes this host a member and may be copied from, and this host's
// own.
#include <utility>

#include <fmt/format.h>

#include "env/network.h"
#include "setup/agent_place.h"
#include "setup/agent_start.h"
#include "setup/join_steps.h"

namespace standfast::setup {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr base::Seconds kLookTimeout{20};

std::string shown(const net::HostPort& place) {
  return to_string(AgentAddresses{place});
}

Error no_member() {
  return {ErrorCode::kPrecondition,
          "--agent: this host is no member of the cluster, and the token names no agent",
          "Run \"standfast primary setup --agent\" on the primary, and take the token it gives."};
}

Result<AgentToStart> agent_to_start(const JoinPlace& place, const agent::MembershipFiles& files,
                                    const agent::OwnMembership& membership) {
  const AgentWish wish = TRY(parse_agent_wish(*place.options.own_agent));
  const AgentAddresses before = TRY(files.read_places()).listen;
  std::vector<std::string> own;
  if (auto source = env::source_address_towards(place.options.token.host, place.options.token.port)) {
    own.push_back(*std::move(source));
  }
  AgentToStart agent{.data_directory = place.target,
                     .listen = TRY(addresses_to_listen_on(wish, before, own))};
  agent.how = start_for(agent.listen, before,
                        answering_agents(membership, before, place.environment.wait_at_most(kLookTimeout)));
  return agent;
}

Result<AgentOutcome> start_it(const JoinPlace& place, const client::SecretStore& store) {
  const agent::MembershipFiles files(store, place.options.token.system_id);
  const auto membership = TRY(files.read());
  if (!membership) return no_member();
  const AgentToStart agent = TRY(agent_to_start(place, files, *membership));
  AgentOutcome outcome;
  outcome.ca_sha256 = TRY(agent::fingerprint_of(membership->trust.ca_pem));
  for (const net::HostPort& one : agent.listen) outcome.listen.push_back(shown(one));
  std::string command = TRY(start_agent(agent, files, place.environment));
  if (agent.how == AgentStart::kNone) {
    place.environment.reporter.info("it runs already, on " + to_string(agent.listen));
    return outcome;
  }
  place.environment.reporter.info(
      fmt::format("it runs, on {}; started with: {}", to_string(agent.listen), command));
  outcome.started = std::move(command);
  return outcome;
}

}  // namespace

Result<void> check_agent_wish(const JoinPlace& place, const client::SecretStore& store) {
  if (!place.options.own_agent || place.options.token.agent) return base::ok();
  const agent::MembershipFiles files(store, place.options.token.system_id);
  if (!TRY(files.read())) return no_member();
  return base::ok();
}

void tell_agents(const JoinPlace& place) {
  const auto& named = place.options.token.agent;
  if (named && place.options.agent.way != clone::CopyWay::kProtocol) {
    place.environment.reporter.info(
        fmt::format("would become a member of the cluster, with a certificate of the agent at {}, unless it "
                    "is one already",
                    shown({named->host, named->port})));
  }
  if (place.options.own_agent)
    place.environment.reporter.info("would start an agent here, once the standby streams");
}

Result<std::optional<AgentAtSource>> find_source_agent(const JoinPlace& place,
                                                       const client::SecretStore& store) {
  const auto& named = place.options.token.agent;
  if (!named || place.options.agent.way == clone::CopyWay::kProtocol) return std::optional<AgentAtSource>();
  base::Reporter& reporter = place.environment.reporter;
  auto found = become_member(place.options.token, store, place.environment);
  if (found) {
    reporter.info(fmt::format("this host is \"{}\" to the agent at {}", found->membership.facts.member.name,
                              shown(found->address)));
    return std::optional(*std::move(found));
  }
  const bool must_come_by_it = place.options.agent.way == clone::CopyWay::kAgent;
  if (must_come_by_it || !is_out_of_reach(found.error())) return std::move(found).error();
  reporter.warn(fmt::format("the agent at {} cannot be reached: {}", shown({named->host, named->port}),
                            found.error().message),
                "It goes on over the replication protocol. See that the agent runs and that no firewall "
                "keeps its port; then "
                "run this again, and this host becomes a member.");
  return std::optional<AgentAtSource>();
}

Result<std::optional<AgentOutcome>> start_own_agent(const JoinPlace& place,
                                                    const client::SecretStore& store) {
  if (!place.options.own_agent) return std::optional<AgentOutcome>();
  place.environment.reporter.step("3.4", "agent");
  auto outcome = start_it(place, store);
  if (outcome) return std::optional(*std::move(outcome));
  if (outcome.error().code == ErrorCode::kCancelled) return std::move(outcome).error();
  // The standby is there all the same.
  place.environment.reporter.warn(outcome.error().message, outcome.error().hint);
  AgentOutcome failed;
  failed.failure = std::move(outcome).error();
  return std::optional(std::move(failed));
}

}  // namespace standfast::setup
