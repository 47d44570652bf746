// The steps of a join that stand by themselves: the name that Debian has for the standby, the agents of both
// hosts, and what comes after the copy. join.h has the whole.
//
// Threading: one thread. Ownership: a JoinPlace borrows. Fails with: what pg_createcluster, the start of a
// server and its queries fail with; kVersion, kNotStreaming, what verify judges; kCancelled.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "clone/clone.h"
#include "pg/format/versions.h"
#include "pg/server/debian.h"
#include "pg/server/installation.h"
#include "setup/environment.h"
#include "setup/join.h"
#include "setup/join_checks.h"
#include "setup/join_membership.h"
#include "setup/standby_login.h"
#include "setup/verify.h"

namespace standfast::setup {

/// What is joined, and into which data directory.
struct JoinPlace {
  const JoinOptions& options;
  const std::string& target;
  const SetupEnvironment& environment;
};

// ---------------------------------------------------------------- join_registration.cc

base::Result<std::optional<server::DebianCluster>> debian_cluster_of(const JoinPlace& place,
                                                                     pg::Version primary);
/// The port that the standby will have; 0 where pg_createcluster is to choose a free one.
base::Result<std::uint16_t> port_to_be(const JoinPlace& place, const PrimaryFacts& primary);
/// So that pg_lsclusters, systemd and the next start of this host know the standby.
base::Result<bool> is_to_be_registered(const JoinPlace& place, pg::Version primary);
std::string describe_registration(const JoinPlace& place);
base::Result<void> register_standby(const JoinPlace& place);
/// Without a copy the name that was made for it goes again.
void unregister_standby(const JoinPlace& place);
/// Of a run that was killed while it registered. True: it is still there, because this is a dry run.
base::Result<bool> take_back_half_registered(const JoinPlace& place);

// ---------------------------------------------------------------- join_start.cc

/// Starts the copy if it does not run yet; the command that starts it back.
base::Result<std::string> start_copy(const JoinPlace& place, const server::Installation& installation,
                                     const std::optional<clone::CloneFacts>& copy);
base::Result<void> wait_until_streaming(const JoinPlace& place, std::string_view source_word);
base::Result<VerifyOutcome> prove_standby(const JoinPlace& place, const StandbyLogin& login);

// ---------------------------------------------------------------- join_agent.cc

/// kPrecondition where an agent is wished for here, and the token and this host have nothing to make it a
/// member by.
base::Result<void> check_agent_wish(const JoinPlace& place, const client::SecretStore& store);
/// No value: the token names no agent, none is to be used, or it cannot be reached, which is said.
base::Result<std::optional<AgentAtSource>> find_source_agent(const JoinPlace& place,
                                                             const client::SecretStore& store);
/// What a dry run says of both.
void tell_agents(const JoinPlace& place);
/// This host's own, if it is wished for.
base::Result<std::optional<AgentOutcome>> start_own_agent(const JoinPlace& place,
                                                          const client::SecretStore& store);

}  // namespace standfast::setup
