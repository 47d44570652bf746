#include "clone/agent_member.h"

#include <utility>

#include <fmt/format.h>

#include "agent/membership_files.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

Result<std::unique_ptr<AgentBackup>> connect_to_agent_of(const SourceFacts& source,
                                                         const std::string& source_host, const AgentUse& use,
                                                         const CloneEnvironment& environment) {
  const pg::SystemId system_id = source.identity.system_id;
  const agent::MembershipFiles own(TRY(client::SecretStore::locate(environment.files)), system_id);
  const auto membership = TRY(own.read());
  if (!membership) {
    return Error(ErrorCode::kPrecondition,
                 fmt::format("this host is no member of the cluster {}", system_id.to_string()),
                 "\"standfast join\" with a token of \"primary setup --agent\" makes it one.");
  }
  AgentSource wanted;
  wanted.context = TRY(agent::MemberContext::for_client(membership->trust, membership->own));
  wanted.system_id = system_id;
  const bool is_by_socket =
      source_host.empty() || source_host.starts_with('/') || source_host.starts_with('@');
  wanted.address = use.address.value_or(
      net::HostPort{.host = is_by_socket ? "localhost" : source_host, .port = agent::kDefaultAgentPort});
  auto connected = AgentBackup::connect(std::move(wanted), environment.stop);
  if (connected) return connected;
  Error error = std::move(connected).error();
  if (error.code == ErrorCode::kConnect && error.hint.empty()) {
    error.hint =
        "See that it runs there (standfast agent), or say where it listens with --agent HOST[:PORT].";
  }
  return error;
}

Result<void> check_agent_fits(const AgentBackup& agent, const SourceFacts& source) {
  if (agent.welcome().is_standby == source.is_standby) return base::ok();
  return Error(ErrorCode::kPrecondition,
               fmt::format("the agent of member \"{}\" is that of another server: {} is a standby",
                           agent.member(), source.is_standby ? "only the one that WAL comes from" : "its"),
               "Give the agent of the source itself: --agent HOST[:PORT].");
}

}  // namespace standfast::clone
