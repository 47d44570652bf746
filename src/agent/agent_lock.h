// The one agent of a cluster on this host: a lock in the folder of its membership, whose note says which
// process has it, so that it can be found and ended.
//
// Threading: one thread. Ownership: as env::LockFile. Invariant: a process is signalled only if it is the one
// that took the lock: by its id and the time of its start. Fails: kInUse where another agent has it;
// kPrecondition where the holder is in another container, whose numbers mean nothing here; kTimeout; as
// env::LockFile.
#pragma once

#include <optional>
#include <string>

#include <sys/types.h>

#include "base/result.h"
#include "env/file_system.h"
#include "env/lock_file.h"
#include "env/stop_event.h"

namespace standfast::agent {

/// `folder`: MembershipFiles::folder(), which is there.
base::Result<env::LockFile> take_agent_lock(env::FileSystem& files, const std::string& folder);

struct RunningAgent {
  std::optional<pid_t> pid;  ///< none: not one of the processes that can be seen here
};
/// No value: none runs. An agent has its lock from when it listens on.
base::Result<std::optional<RunningAgent>> find_agent(env::FileSystem& files, const std::string& folder);
base::Error agent_runs_already(const RunningAgent& agent);
/// SIGTERM, and back when it has ended. False: none ran.
base::Result<bool> stop_agent(env::FileSystem& files, const std::string& folder, const env::Wait& wait);

}  // namespace standfast::agent
