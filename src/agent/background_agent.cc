#include "agent/background_agent.h"

#include <algorithm>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "agent/agent_lock.h"
#include "base/exit_code.h"
#include "env/background_program.h"
#include "env/process.h"

namespace standfast::agent {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Milliseconds kPoll(20);
constexpr base::Seconds kEndPatience(10);
constexpr std::size_t kMaxSaid = std::size_t{64} << 10U;
constexpr std::string_view kName = "standfast: ";
constexpr std::string_view kHint = "hint: ";

/// What it said has a line with its name before it, and perhaps one that says what to do.
Error error_said(env::FileSystem& files, const std::string& log_file, std::uint64_t from, int exit_code) {
  Error error(base::code_of_exit(exit_code).value_or(ErrorCode::kFailed),
              fmt::format("the agent ended with {}", exit_code), fmt::format("See \"{}\".", log_file));
  const auto file = files.open_for_reading(log_file);
  if (!file) return error;
  std::string text(kMaxSaid, '\0');
  const auto count = (*file)->read_at(from, std::as_writable_bytes(std::span(text)));
  text.resize(count ? *count : 0);
  const std::size_t at = text.rfind("\n" + std::string(kName));
  const std::size_t begin = text.starts_with(kName) && at == std::string::npos ? 0 : at + 1;
  if (text.compare(begin, kName.size(), kName) != 0) return error;
  std::string_view said = std::string_view(text).substr(begin + kName.size());
  error.message = said.substr(0, said.find('\n'));
  said.remove_prefix(std::min(said.size(), error.message.size() + 1));
  if (said.starts_with(kHint)) error.hint = said.substr(kHint.size(), said.find('\n') - kHint.size());
  return error;
}

Result<std::uint64_t> length_of(env::FileSystem& files, const std::string& path) {
  const auto info = TRY(files.inspect_following(path));
  return info ? info->size_bytes : 0;
}

}  // namespace

std::string agent_log_file(const MembershipFiles& membership) {
  return membership.folder() + "/agent.log";
}

Result<pid_t> start_agent(env::FileSystem& files, const MembershipFiles& membership,
                          const BackgroundAgent& wanted, const env::Wait& wait) {
  if (const auto other = TRY(find_agent(files, membership.folder()))) return agent_runs_already(*other);
  // It outlives this program by far, and would show a PGPASSWORD of its for as long.
  env::Command command{.argv = {env::this_program(files), "agent", "-D", wanted.data_directory},
                       .environment = env::ChildEnvironment::kWithoutPostgres};
  for (const std::string& address : wanted.listen) {
    command.argv.insert(command.argv.end(), {"--listen", address});
  }
  command.argv.insert(command.argv.end(), wanted.arguments.begin(), wanted.arguments.end());
  const std::string log_file = wanted.log_file.empty() ? agent_log_file(membership) : wanted.log_file;
  const std::uint64_t said_before = TRY(length_of(files, log_file));
  auto program = TRY(env::BackgroundProgram::start(command, log_file));
  const pid_t pid = program.pid();
  while (true) {
    const auto agent = TRY(find_agent(files, membership.folder()));
    if (agent && agent->pid == pid) break;
    if (const auto exit_code = program.exit_code()) {
      return error_said(files, log_file, said_before, *exit_code);
    }
    if (wait.deadline.passed() || wait.stopped()) {
      TRY(program.stop(env::Wait::for_at_most(kEndPatience)));
      if (wait.stopped()) return env::cancelled_error();
      return Error(ErrorCode::kTimeout, "the agent does not come to listen",
                   fmt::format("See \"{}\".", log_file));
    }
    static_cast<void>(env::wait_for(-1, 0, {wait.deadline.earlier(base::Deadline::after(kPoll)), wait.stop}));
  }
  program.leave();
  return pid;
}

}  // namespace standfast::agent
