// An agent started beside whoever asks for one, as pg_ctl starts a server: it runs on when that has ended.
//
// Threading: one thread. Ownership: borrows the FileSystem. Fails: kInUse where one runs already; kFailed
// with what it said where it ends instead of listening; kTimeout, after which it has been ended.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

#include "agent/membership_files.h"
#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"

namespace standfast::agent {

struct BackgroundAgent {
  std::string data_directory;
  std::vector<std::string> listen = {};     ///< empty: where agent.json says
  std::vector<std::string> arguments = {};  ///< further ones of `standfast agent`
  std::string log_file = {};                ///< empty: agent_log_file()
};
/// "agent.log" in the folder of the membership.
std::string agent_log_file(const MembershipFiles& membership);
/// Its process, once it listens.
base::Result<pid_t> start_agent(env::FileSystem& files, const MembershipFiles& membership,
                                const BackgroundAgent& wanted, const env::Wait& wait);

}  // namespace standfast::agent
