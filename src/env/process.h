// Other programs and operating system users.
//
// Threading: call from one thread; children are waited for by their own id only. Fails with kIo, kPermission,
// kTimeout.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"

namespace standfast::env {

/// What a child gets of this process's environment. A server that is started must not take the PG* variables
/// of whoever starts it: they would become its settings and those of its walreceiver.
enum class ChildEnvironment { kInherited, kWithoutPostgres, kEmpty };

/// Takes every PG* variable out of this process, for work whose connections are given whole: a PGPASSWORD or
/// PGOPTIONS that lies around would win over what they say. Only while there is one thread.
void forget_postgres_environment();

struct Command {
  std::vector<std::string> argv;  ///< argv[0] is a path or is looked up in PATH
  std::vector<std::pair<std::string, std::string>> set_env = {};  ///< added to the environment of the child
  std::string standard_input = {};                                ///< given to the child, then end of file
  std::string working_directory = "/";
  ChildEnvironment environment = ChildEnvironment::kInherited;
};

constexpr std::size_t kMaxCapturedBytes = 1U << 20U;  ///< of each stream; the rest is read and dropped

struct CommandResult {
  int exit_code = 0;   ///< 128 + signal number when a signal ended it
  std::string output;  ///< standard output
  std::string errors;  ///< standard error
};

/// Runs a program to its end, in a session of its own: it has no terminal, so it can neither ask there nor
/// put words into it. At the deadline, or when stopped, the child and its group get SIGTERM, then SIGKILL,
/// and the call fails. A grandchild that keeps the pipes open (a started server) does not hold the call up:
/// it ends when the child itself has ended.
base::Result<CommandResult> run_command(const Command& command, const Wait& wait);

struct UserInfo {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;
  std::string home;
};
base::Result<std::optional<UserInfo>> find_user(const std::string& name);
base::Result<std::optional<UserInfo>> find_user(uid_t uid);
uid_t effective_user();
/// By its own name, for whoever looks at the processes; not where its file has been replaced since, or lies
/// where this user may not look.
std::string this_program(FileSystem& files);

/// Makes this process that user for good: groups, real, effective and saved ids; checks that the way back is
/// closed; sets HOME, USER, LOGNAME. Only for root.
base::Result<void> become_user_irrevocably(const UserInfo& user);

bool process_exists(pid_t pid);

}  // namespace standfast::env
