// The agent of a source, for a host that is a member of its cluster.
//
// Threading: one thread. Fails: kPrecondition where this host is no member, or the agent is another server's;
// as the store of the membership and AgentBackup::connect().
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "clone/agent_backup.h"
#include "clone/clone.h"
#include "clone/source.h"

namespace standfast::clone {

/// `source_host`: as libpq connected to it; where the agent is looked for unless `use` says otherwise.
base::Result<std::unique_ptr<AgentBackup>> connect_to_agent_of(const SourceFacts& source,
                                                               const std::string& source_host,
                                                               const AgentUse& use,
                                                               const CloneEnvironment& environment);
/// Of a standby there is another agent than of its primary.
base::Result<void> check_agent_fits(const AgentBackup& agent, const SourceFacts& source);

}  // namespace standfast::clone
