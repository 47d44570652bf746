// How the host of a standby becomes a member of its cluster: the agent that the token names signs a
// certificate for a key that is made here, and both are kept, so that a join which is run again asks for
// none.
//
// Threading: one thread. Secrets: the token's is sent to nobody but who has the authority that the token
// names. Fails: kConnect and kTimeout where the agent cannot be reached; kCertificate for one of another
// authority; kAuthentication for a secret that does not count any more; what the agent refuses a member with;
// and as agent::MembershipFiles.
#pragma once

#include "agent/membership_files.h"
#include "base/result.h"
#include "net/connect.h"
#include "pg/client/secret_store.h"
#include "pg/format/token.h"
#include "setup/environment.h"

namespace standfast::setup {

/// An agent that lets this host in, and as whom.
struct AgentAtSource {
  net::HostPort address;
  agent::OwnMembership membership;
};

/// `token` names an agent. The membership that is there is taken unless that agent does not take its
/// certificate; the secret is for a host without one.
base::Result<AgentAtSource> become_member(const pg::Token& token, const client::SecretStore& store,
                                          const SetupEnvironment& environment);

/// Without an agent the replication protocol is left.
bool is_out_of_reach(const base::Error& error);

}  // namespace standfast::setup
