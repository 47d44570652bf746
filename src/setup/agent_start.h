// The agent of this host: whether it answers, and how it is started. Where systemd runs, its unit is
// installed and root can be asked, that is what starts it, now and after a reboot; else this program, in the
// background.
//
// Threading: one thread. Fails: as agent/background_agent.h and agent/agent_lock.h, with what to do;
// kServerControl where systemd does not start it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/membership_files.h"
#include "base/result.h"
#include "env/stop_event.h"
#include "setup/agent_place.h"
#include "setup/environment.h"

namespace standfast::setup {

/// Those of the places at which this host's own agent answers as the member it is.
AgentAddresses answering_agents(const agent::OwnMembership& membership, const AgentAddresses& places,
                                const env::Wait& wait);

enum class AgentStart : std::uint8_t { kNone, kStart, kRestart };
/// What is to be done so that an agent listens on all of `wanted`, and nowhere else.
AgentStart start_for(const AgentAddresses& wanted, const AgentAddresses& before,
                     const AgentAddresses& answering);

struct AgentToStart {
  std::string data_directory;
  AgentAddresses listen;
  AgentStart how = AgentStart::kStart;
  // Whom it logs in as at its own server, and where; else as it does by itself. A unit's configuration says
  // it.
  std::optional<std::string> superuser = {};
  std::optional<std::string> database = {};
};
/// The command that a person would give. It listens when this returns, and `files` say where.
base::Result<std::string> start_agent(const AgentToStart& agent, const agent::MembershipFiles& files,
                                      const SetupEnvironment& environment);

}  // namespace standfast::setup
