#include "agent/agent_lock.h"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "env/process_family.h"

namespace standfast::agent {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::string_view kFile = "/agent.lock";
constexpr std::string_view kProcess = "agent process ";
constexpr std::string_view kStarted = " started at tick ";
constexpr base::Milliseconds kPoll(20);

std::string note_of(pid_t pid, std::uint64_t start_ticks) {
  return fmt::format("{}{}{}{}", kProcess, pid, kStarted, start_ticks);
}

pid_t pid_in(std::string_view note) {
  pid_t pid = 0;
  if (note.starts_with(kProcess)) {
    note.remove_prefix(kProcess.size());
    std::from_chars(note.data(), note.data() + note.size(), pid);
  }
  return pid;
}

}  // namespace

Error agent_runs_already(const RunningAgent& agent) {
  return {ErrorCode::kInUse,
          agent.pid ? fmt::format("an agent of this cluster runs already: process {}", *agent.pid)
                    : "an agent of this cluster runs already",
          "End it first with \"standfast agent --stop\", or with its service."};
}

Result<env::LockFile> take_agent_lock(env::FileSystem& files, const std::string& folder) {
  const auto own = env::stat_of_process(files, getpid());
  auto lock =
      TRY(env::LockFile::take(folder + std::string(kFile), note_of(getpid(), own ? own->start_ticks : 0)));
  if (lock) return *std::move(lock);
  return agent_runs_already(TRY(find_agent(files, folder)).value_or(RunningAgent{}));
}

Result<std::optional<RunningAgent>> find_agent(env::FileSystem& files, const std::string& folder) {
  const auto note = TRY(env::holder_of_lock(folder + std::string(kFile)));
  if (!note) return std::optional<RunningAgent>();
  RunningAgent agent;
  const pid_t pid = pid_in(*note);
  const auto stat = pid > 1 ? env::stat_of_process(files, pid) : std::nullopt;
  if (stat && note_of(pid, stat->start_ticks) == *note) agent.pid = pid;
  return std::optional(agent);
}

Result<bool> stop_agent(env::FileSystem& files, const std::string& folder, const env::Wait& wait) {
  const auto agent = TRY(find_agent(files, folder));
  if (!agent) return false;
  if (!agent->pid) {
    return Error(ErrorCode::kPrecondition, "the agent runs where its process cannot be seen",
                 "End it in the container that it runs in.");
  }
  if (kill(*agent->pid, SIGTERM) != 0 && errno != ESRCH) {
    return base::error_from_errno(errno, fmt::format("could not end process {}", *agent->pid));
  }
  while (TRY(env::holder_of_lock(folder + std::string(kFile)))) {
    if (wait.deadline.passed()) {
      return Error(ErrorCode::kTimeout, fmt::format("the agent, process {}, does not end", *agent->pid),
                   "See its log.");
    }
    const env::Wait step{wait.deadline.earlier(base::Deadline::after(kPoll)), wait.stop};
    if (env::wait_for(-1, 0, step) == env::Ready::kStopped) return env::cancelled_error();
  }
  return true;
}

}  // namespace standfast::agent
