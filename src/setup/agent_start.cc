#include "setup/agent_start.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "agent/agent_lock.h"
#include "agent/background_agent.h"
#include "agent/client.h"
#include "pg/server/root_helper.h"
#include "pg/server/systemd.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kStartTimeout{60};
constexpr base::Seconds kStopTimeout{60};
constexpr base::Seconds kAnswerTimeout{5};

bool answers(const agent::OwnMembership& membership,
             const std::shared_ptr<const agent::MemberContext>& context, const net::HostPort& place,
             const env::Wait& wait) {
  agent::ClientOptions options;
  options.context = context;
  options.system_id = membership.trust.system_id;
  options.member = membership.facts.member.name;
  options.patience.connect = std::min<base::Clock::duration>(kAnswerTimeout, wait.deadline.remaining());
  return agent::AgentClient::connect(as_called_here(place), std::move(options), wait.stop).has_value();
}

bool is_among(const net::HostPort& one, const AgentAddresses& places) {
  return std::find(places.begin(), places.end(), one) != places.end();
}

Result<void> start_in_background(const AgentToStart& agent, const agent::MembershipFiles& files,
                                 const SetupEnvironment& environment) {
  agent::BackgroundAgent wanted{.data_directory = agent.data_directory};
  for (const net::HostPort& one : agent.listen) wanted.listen.push_back(to_string(AgentAddresses{one}));
  const auto add = [&wanted](std::string_view option, const std::optional<std::string>& value) {
    if (value) wanted.arguments.insert(wanted.arguments.end(), {std::string(option), *value});
  };
  add("--username", agent.superuser);
  add("--maintenance-db", agent.database);
  TRY(agent::start_agent(environment.files, files, wanted, environment.wait_at_most(kStartTimeout)));
  return base::ok();
}

Result<std::string> start_somehow(const AgentToStart& agent, const agent::MembershipFiles& files,
                                  const SetupEnvironment& environment) {
  if (agent.how == AgentStart::kRestart) {
    TRY(agent::stop_agent(environment.files, files.folder(), environment.wait_at_most(kStopTimeout)));
  }
  const bool has_unit =
      server::systemd_runs() && server::is_unit_installed(environment.files, server::kAgentUnit);
  if (has_unit && environment.root != nullptr) {
    TRY(environment.root->enable_agent(environment.wait_at_most(kStartTimeout)));
    return fmt::format("systemctl start {}", server::kAgentUnit);
  }
  TRY(start_in_background(agent, files, environment));
  if (has_unit) {
    environment.reporter.warn(
        "the agent runs in the background, and is not back after a reboot",
        fmt::format("End it with \"standfast agent --stop -D {}\", then run this again as root.",
                    agent.data_directory));
  }
  return fmt::format("standfast agent --background -D {}", agent.data_directory);
}

}  // namespace

AgentAddresses answering_agents(const agent::OwnMembership& membership, const AgentAddresses& places,
                                const env::Wait& wait) {
  AgentAddresses found;
  const auto context = agent::MemberContext::for_client(membership.trust, membership.own);
  if (!context) return found;
  std::copy_if(places.begin(), places.end(), std::back_inserter(found),
               [&](const net::HostPort& place) { return answers(membership, *context, place, wait); });
  return found;
}

AgentStart start_for(const AgentAddresses& wanted, const AgentAddresses& before,
                     const AgentAddresses& answering) {
  if (answering.empty()) return AgentStart::kStart;
  const auto is_subset = [](const AgentAddresses& part, const AgentAddresses& whole) {
    return std::all_of(part.begin(), part.end(), [&](const auto& one) { return is_among(one, whole); });
  };
  const bool is_right = is_subset(wanted, answering) && is_subset(before, wanted);
  return is_right ? AgentStart::kNone : AgentStart::kRestart;
}

Result<std::string> start_agent(const AgentToStart& agent, const agent::MembershipFiles& files,
                                const SetupEnvironment& environment) {
  agent::AgentPlaces places = TRY(files.read_places());
  places.listen = agent.listen;
  TRY(files.save_places(places));
  if (agent.how == AgentStart::kNone) return std::string();
  auto started = start_somehow(agent, files, environment);
  if (started) return started;
  Error error = std::move(started).error();
  if (error.code == ErrorCode::kCancelled) return error;
  error.message = "the agent does not run: " + error.message;
  error.hint += fmt::format(
      "{}Put that right, then run this again, or start it yourself: standfast agent "
      "--background -D {}",
      error.hint.empty() ? "" : " ", agent.data_directory);
  return error;
}

}  // namespace standfast::setup
