// What there is of the cluster's members and of the agent on this host: reads the secret store, calls the
// agent, and changes nothing.
//
// Threading: one thread. Fails: as agent::Members and agent::MembershipFiles do; an agent that does not
// answer is none.
#pragma once

#include "agent/certificate.h"
#include "base/result.h"
#include "env/stop_event.h"
#include "pg/client/secret_store.h"
#include "pg/format/token.h"
#include "setup/primary_state.h"

namespace standfast::setup {

/// The wall clock, by which certificates and secrets expire.
agent::UnixSeconds wall_clock_now();

base::Result<AgentState> look_at_agent(const client::SecretStore& store, pg::SystemId system_id,
                                       const env::Wait& wait);
/// `slot`: whose token it is.
base::Result<TokenAgentState> look_at_token_agent(const client::SecretStore& store, pg::SystemId system_id,
                                                  const pg::TokenAgent& said, std::string_view slot);

}  // namespace standfast::setup
