#include "env/posix/child.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

extern char** environ;

namespace standfast::env {
namespace {

using base::error_from_errno;
using base::ErrorCode;
using base::Result;

/// Standard input of the child, as a file in memory: nothing has to be fed to it, and a child that does not
/// read it blocks nobody.
Result<Descriptor> make_input(std::string_view content) {
  Descriptor file(content.empty() ? open("/dev/null", O_RDONLY | O_CLOEXEC)
                                  : memfd_create("standard-input", MFD_CLOEXEC));
  if (file.get() < 0) return error_from_errno(errno, "could not make standard input for a program");
  while (!content.empty()) {
    const ssize_t count = write(file.get(), content.data(), content.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return error_from_errno(errno, "could not write standard input for a program");
    content.remove_prefix(static_cast<std::size_t>(count));
  }
  lseek(file.get(), 0, SEEK_SET);
  return file;
}

bool is_program(const std::string& path) {
  return access(path.c_str(), X_OK) == 0;
}

/// execvpe() may not be called between fork and exec, so PATH is searched before.
Result<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* variable = getenv("PATH");
  std::string_view rest = variable != nullptr ? variable : "/usr/sbin:/usr/bin:/sbin:/bin";
  while (!rest.empty()) {
    const std::size_t colon = std::min(rest.find(':'), rest.size());
    const std::string path = std::string(rest.substr(0, colon)) + "/" + name;
    if (colon > 0 && is_program(path)) return path;
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  return base::Error(ErrorCode::kPrecondition, "program \"" + name + "\" is not in PATH");
}

std::vector<std::string> environment_of(const Command& command) {
  std::vector<std::string> result;
  const auto is_set_anew = [&](std::string_view entry) {
    return std::any_of(command.set_env.begin(), command.set_env.end(), [&](const auto& variable) {
      return entry.starts_with(variable.first) && entry.substr(variable.first.size()).starts_with('=');
    });
  };
  const bool is_empty = command.environment == ChildEnvironment::kEmpty;
  for (char** entry = environ; !is_empty && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (command.environment == ChildEnvironment::kWithoutPostgres && text.starts_with("PG")) continue;
    if (!is_set_anew(text)) result.emplace_back(text);
  }
  for (const auto& [name, value] : command.set_env) result.push_back(name + "=" + value);
  return result;
}

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// All that the child needs between fork and exec, where it may not allocate.
struct Launch {
  const char* program;
  char** argv;
  char** envp;
  const char* working_directory;
  int input;
  int output;
  int errors;
  int failure;  ///< takes errno when the program cannot be run; closed by exec
};

[[noreturn]] void run_child(const Launch& launch) {
  setsid();  // before exec, so whoever sees the program run can signal its group
  sigset_t none;
  sigemptyset(&none);
  for (int number = 1; number < NSIG; ++number) {
    // What came before that, Ctrl-C, was for our own group. To ignore it is to forget it.
    signal(number, SIG_IGN);
    signal(number, SIG_DFL);
  }
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (dup2(launch.input, STDIN_FILENO) >= 0 && dup2(launch.output, STDOUT_FILENO) >= 0 &&
      dup2(launch.errors, STDERR_FILENO) >= 0 && chdir(launch.working_directory) == 0) {
    // Everything of ours is close-on-exec already; this is for what we were started with.
    close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    execve(launch.program, launch.argv, launch.envp);
  }
  const int error_number = errno;
  [[maybe_unused]] const ssize_t written = write(launch.failure, &error_number, sizeof error_number);
  _exit(127);
}

/// Forks with every signal held back, so that no handler of ours runs in the child.
pid_t fork_quietly() {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = fork();
  const int error_number = errno;
  if (pid != 0) pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error_number;
  return pid;
}

base::Error cannot_run(int error_number, const std::string& program) {
  return error_from_errno(error_number, "could not run \"" + program + "\"");
}

}  // namespace

Result<Pipe> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return error_from_errno(errno, "could not make a pipe");
  return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

Child::Child(pid_t pid) : pid_(pid), pidfd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))) {}

Child::~Child() {
  if (is_left_) return;
  if (!exit_code_) signal_group(SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Child::signal_group(int number) const {
  kill(-pid_, number);
}

bool Child::has_ended() {
  if (exit_code_) return true;
  siginfo_t info{};
  const int done = waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
  if (done == 0 && info.si_pid == pid_) {
    exit_code_ = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
  }
  return exit_code_.has_value();
}

Result<pid_t> start_child(const Command& command, int output, int errors) {
  CHECK(!command.argv.empty());
  const std::string program = TRY(find_program(command.argv.front()));
  std::vector<std::string> arguments = command.argv;
  std::vector<std::string> variables = environment_of(command);
  const std::vector<char*> argv = pointers_to(arguments);
  const std::vector<char*> envp = pointers_to(variables);
  Descriptor input = TRY(make_input(command.standard_input));
  Pipe failure = TRY(make_pipe());
  const Launch launch = {program.c_str(),
                         const_cast<char**>(argv.data()),
                         const_cast<char**>(envp.data()),
                         command.working_directory.c_str(),
                         input.get(),
                         output,
                         errors,
                         failure.write.get()};
  const pid_t pid = fork_quietly();
  if (pid < 0) return cannot_run(errno, program);
  if (pid == 0) run_child(launch);
  failure.write.reset();
  int error_number = 0;
  ssize_t count = 0;
  do count = read(failure.read.get(), &error_number, sizeof error_number);
  while (count < 0 && errno == EINTR);
  if (count != sizeof error_number) return pid;
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return cannot_run(error_number, program);
}

}  // namespace standfast::env
