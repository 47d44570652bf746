#include "env/process.h"

#include <cstdlib>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace standfast::env {
namespace {

using base::ErrorCode;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;

/// For what goes on as it should, on a machine that has much else to do. What is to be ended sleeps for
/// longer.
constexpr auto kPatience = 60s;

Command shell(std::string script) {
  return {.argv = {"/bin/sh", "-c", std::move(script)}};
}

CommandResult run(const Command& command) {
  auto result = run_command(command, Wait::for_at_most(kPatience));
  EXPECT_TRUE(result.has_value()) << (result ? "" : result.error().message);
  return result ? *std::move(result) : CommandResult{-1, "", ""};
}

/// A pipe that a program can open by a name: it is given no descriptors but its own three.
class NamedPipe {
 public:
  NamedPipe() {
    EXPECT_EQ(pipe2(ends_, O_CLOEXEC), 0);
    name_ = fmt::format("/proc/{}/fd/{}", getpid(), ends_[1]);
  }
  ~NamedPipe() {
    close(ends_[0]);
    if (ends_[1] >= 0) close(ends_[1]);
  }
  NamedPipe(const NamedPipe&) = delete;
  NamedPipe& operator=(const NamedPipe&) = delete;

  const std::string& name() const { return name_; }
  /// "..." at its end: it did not come in time.
  std::string line() { return read_up_to('\n'); }
  /// Up to its end, which is there when nobody has it open any more.
  std::string rest() {
    close(std::exchange(ends_[1], -1));
    return read_up_to(std::nullopt);
  }

 private:
  std::string read_up_to(std::optional<char> last) const {
    const Wait wait = Wait::for_at_most(kPatience);
    std::string text;
    char byte = 0;
    while (wait_for(ends_[0], POLLIN, wait) == Ready::kYes) {
      if (read(ends_[0], &byte, 1) != 1 || byte == last) return text;
      text += byte;
    }
    return text + "...";
  }

  int ends_[2] = {-1, -1};
  std::string name_;
};

TEST(RunCommand, GivesBothStreamsAndTheExitCode) {
  const CommandResult result = run(shell("echo out; echo err >&2; exit 7"));
  EXPECT_EQ(result.exit_code, 7);
  EXPECT_EQ(result.output, "out\n");
  EXPECT_EQ(result.errors, "err\n");
}

TEST(RunCommand, ArgumentsAreNotReadByAShell) {
  EXPECT_EQ(run({.argv = {"echo", "$(id) ; *"}}).output, "$(id) ; *\n");
}

TEST(RunCommand, ProgramLeadsASessionOfItsOwnAndHasNoTerminal) {
  // The sixth and seventh word of stat, after a name in parentheses, are the session and the terminal.
  const CommandResult result = run(shell("sed 's/.*) //' /proc/$$/stat | cut -d ' ' -f 4,5; echo $$ 0"));
  const std::size_t end = result.output.find('\n');
  EXPECT_EQ(result.output.substr(0, end + 1), result.output.substr(end + 1));
}

/// Sends SIGINT to the own group, as a Ctrl-C does, for as long as it lives.
pid_t start_interrupting() {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  signal(SIGINT, SIG_IGN);
  while (true) kill(0, SIGINT);
}

TEST(RunCommand, CtrlCIsForThisProgramAndNeverForOneThatIsBeingStarted) {
  const pid_t group = fork();
  if (group == 0) {
    setpgid(0, 0);
    signal(SIGINT, [](int) {});
    const pid_t interrupting = start_interrupting();
    int ended_by_it = 0;
    for (int i = 0; i < 50; ++i) {
      const auto result = run_command({.argv = {"/bin/true"}}, Wait::for_at_most(kPatience));
      if (!result || result->exit_code != 0) ++ended_by_it;
    }
    kill(interrupting, SIGKILL);
    waitpid(interrupting, nullptr, 0);
    _exit(ended_by_it);
  }
  int status = 0;
  ASSERT_EQ(waitpid(group, &status, 0), group);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0) << "so many of 50 programs were ended";
}

TEST(RunCommand, EnvironmentCanBeEmptyButForWhatIsSet) {
  setenv("STANDFAST_TEST_VARIABLE", "here", 1);
  Command command{.argv = {"/usr/bin/env"}, .set_env = {{"ONLY", "this"}}};
  command.environment = ChildEnvironment::kEmpty;
  EXPECT_EQ(run(command).output, "ONLY=this\n");
  unsetenv("STANDFAST_TEST_VARIABLE");
}

TEST(RunCommand, SignalGives128AndItsNumber) {
  EXPECT_EQ(run(shell("kill -KILL $$")).exit_code, 128 + SIGKILL);
}

TEST(RunCommand, StandardInputIsGivenWhole) {
  Command command{.argv = {"cat"}};
  command.standard_input = std::string(300'000, 'x') + "end";
  EXPECT_EQ(run(command).output, command.standard_input);
}

TEST(RunCommand, NoInputIsEndOfFile) {
  EXPECT_EQ(run({.argv = {"cat"}}).output, "");
}

TEST(RunCommand, OutputBeyondTheBoundIsReadAndDropped) {
  const CommandResult result = run(shell("head -c 3000000 /dev/zero; echo done >&2"));
  EXPECT_EQ(result.output.size(), kMaxCapturedBytes);
  EXPECT_EQ(result.errors, "done\n");
  EXPECT_EQ(result.exit_code, 0);
}

TEST(RunCommand, DeadlineEndsTheWholeGroup) {
  NamedPipe held;
  const auto result =
      run_command(shell(fmt::format("exec 9>{}; sleep 600 & sleep 600", held.name())), Wait::for_at_most(2s));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kTimeout);
  EXPECT_EQ(held.rest(), "") << "one of them still holds the pipe";
}

TEST(RunCommand, ChildThatIgnoresTheRequestToEndIsKilled) {
  NamedPipe held;
  const auto result =
      run_command(shell(fmt::format("trap '' TERM; exec 9>{}; while :; do sleep 1; done", held.name())),
                  Wait::for_at_most(2s));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kTimeout);
  EXPECT_EQ(held.rest(), "") << "one of them still holds the pipe";
}

TEST(RunCommand, StopEventEndsItAndWhoIsEndedIsAskedFirst) {
  StopEvent stop;
  NamedPipe said;
  std::thread stopper([&] {
    EXPECT_EQ(said.line(), "ready");
    stop.set();
  });
  const auto result = run_command(
      shell(fmt::format("exec >{}; trap 'echo asked; exit' TERM; echo ready; sleep 600 & wait", said.name())),
      Wait::for_at_most(2 * kPatience, &stop));
  stopper.join();
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(said.rest(), "asked\n");
}

TEST(RunCommand, GrandchildThatKeepsThePipesDoesNotHoldItUp) {
  const CommandResult result = run(shell("setsid sleep 600 & echo $!"));
  const int grandchild = std::atoi(result.output.c_str());
  ASSERT_GT(grandchild, 1) << result.output;
  EXPECT_EQ(kill(grandchild, SIGKILL), 0) << "it has ended, and so did not keep them";
}

TEST(RunCommand, GrandchildThatWritesForEverDoesNotHoldItUp) {
  // When nobody reads any more it ends.
  const CommandResult result = run(shell("setsid timeout 600 yes & sleep 0.2; exit 3"));
  EXPECT_EQ(result.exit_code, 3);
}

TEST(RunCommand, MissingProgramIsNamed) {
  const auto missing = run_command({.argv = {"/nowhere/initdb"}}, Wait::for_at_most(5s));
  ASSERT_FALSE(missing.has_value());
  EXPECT_NE(missing.error().message.find("/nowhere/initdb"), std::string::npos);
  EXPECT_EQ(missing.error().os_errno, ENOENT);
  const auto unknown = run_command({.argv = {"no-such-program-here"}}, Wait::for_at_most(5s));
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().code, ErrorCode::kPrecondition);
}

TEST(RunCommand, EnvironmentIsAddedToAndPostgresVariablesCanBeLeftOut) {
  setenv("PGPORT", "1234", 1);
  setenv("STANDFAST_TEST", "before", 1);
  Command command = shell("echo \"$PGPORT $STANDFAST_TEST\"");
  EXPECT_EQ(run(command).output, "1234 before\n");
  command.environment = ChildEnvironment::kWithoutPostgres;
  command.set_env = {{"STANDFAST_TEST", "after"}};
  EXPECT_EQ(run(command).output, " after\n");
  command.set_env = {{"PGDATA", "/x"}};
  command.argv = {"/bin/sh", "-c", "echo \"$PGDATA\""};
  EXPECT_EQ(run(command).output, "/x\n");
  unsetenv("PGPORT");
  unsetenv("STANDFAST_TEST");
}

TEST(ForgetPostgresEnvironment, TakesAllOfItAndNothingElse) {
  setenv("PGPORT", "1234", 1);
  setenv("PGPASSWORD", "", 1);
  setenv("STANDFAST_TEST", "PG", 1);
  forget_postgres_environment();
  EXPECT_EQ(getenv("PGPORT"), nullptr);
  EXPECT_EQ(getenv("PGPASSWORD"), nullptr);
  EXPECT_STREQ(getenv("STANDFAST_TEST"), "PG");
  unsetenv("STANDFAST_TEST");
}

TEST(RunCommand, DescriptorsOfOursAreClosedInTheChild) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);  // without close-on-exec, as a library or a shell may leave one
  // Asked of the shell without a pipeline: for one it has descriptors of its own for a moment.
  const CommandResult result = run(shell(fmt::format(
      "for n in 0 {} {}; do if [ -e /proc/$$/fd/$n ]; then echo $n; fi; done", ends[0], ends[1])));
  close(ends[0]);
  close(ends[1]);
  EXPECT_EQ(result.output, "0\n");
}

TEST(RunCommand, IgnoredSignalsAreNotHandedOn) {
  signal(SIGPIPE, SIG_IGN);
  const CommandResult result = run(shell("kill -PIPE $$; echo survived"));
  signal(SIGPIPE, SIG_DFL);
  EXPECT_EQ(result.exit_code, 128 + SIGPIPE);
}

TEST(Users, RootIsFoundByNameAndNumber) {
  auto by_name = find_user("root");
  ASSERT_TRUE(by_name && *by_name);
  EXPECT_EQ((*by_name)->uid, 0U);
  auto by_number = find_user(uid_t{0});
  ASSERT_TRUE(by_number && *by_number);
  EXPECT_EQ((*by_number)->name, "root");
  auto nobody = find_user("no-such-user-here");
  ASSERT_TRUE(nobody.has_value());
  EXPECT_FALSE(nobody->has_value());
}

TEST(Users, BecomingAnotherUserHasNoWayBack) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become someone else";
  const auto user = find_user("nobody");
  ASSERT_TRUE(user && *user);
  const pid_t pid = fork();
  if (pid == 0) {
    const bool became = become_user_irrevocably(**user).has_value();
    const bool has_way_back = setuid(0) == 0 || seteuid(0) == 0 || access("/etc/shadow", R_OK) == 0;
    const bool knows_home = getenv("HOME") != nullptr && (*user)->home == getenv("HOME");
    _exit(became && !has_way_back && knows_home ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

TEST(Users, RootIsNobodyToBecome) {
  EXPECT_FALSE(become_user_irrevocably({0, 0, "root", "/root"}).has_value());
}

}  // namespace
}  // namespace standfast::env
