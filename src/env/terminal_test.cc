// Prompts are tried on a pseudo-terminal: a child that has it as its controlling terminal asks, the test
// types.
#include "env/terminal.h"

#include <csignal>
#include <functional>

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

namespace standfast::env {
namespace {

constexpr int kPatienceMs = 60'000;

class Prompted {
 public:
  explicit Prompted(const std::function<int()>& body) {
    pid_ = forkpty(&fd_, nullptr, nullptr, nullptr);
    if (pid_ == 0) _exit(body());
  }
  ~Prompted() {
    if (fd_ >= 0) close(fd_);
  }
  void wait_for_text(const std::string& text) {
    while (seen_.find(text) == std::string::npos && read_some()) {
    }
    EXPECT_NE(seen_.find(text), std::string::npos) << seen_;
  }
  void type(const std::string& text) {
    std::size_t done = 0;
    while (done < text.size()) {
      const ssize_t count = write(fd_, text.data() + done, std::min<std::size_t>(text.size() - done, 512));
      ASSERT_GT(count, 0);
      done += static_cast<std::size_t>(count);
    }
  }
  bool echo_is_on() const {
    termios settings{};
    return tcgetattr(fd_, &settings) == 0 && (settings.c_lflag & static_cast<tcflag_t>(ECHO)) != 0;
  }
  int exit_code() {
    while (read_some()) {
    }
    int status = 0;
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  pid_t pid() const { return pid_; }
  const std::string& seen() const { return seen_; }

 private:
  bool read_some() {
    pollfd ready{fd_, POLLIN, 0};
    if (poll(&ready, 1, kPatienceMs) != 1) return false;
    char buffer[512];
    const ssize_t count = read(fd_, buffer, sizeof buffer);
    if (count > 0) seen_.append(buffer, static_cast<std::size_t>(count));
    return count > 0;
  }
  int fd_ = -1;
  pid_t pid_ = -1;
  std::string seen_;
};

/// Keeps the terminal open after the answer until a line is typed, so that the test can look at its settings.
int linger(int code) {
  [[maybe_unused]] const ssize_t told = write(1, "LINGER\n", 7);
  char byte = 0;
  [[maybe_unused]] const ssize_t count = read(0, &byte, 1);
  return code;
}

int ask_and_compare(const std::string& expected) {
  const StopEvent stop;
  const auto secret = ask_secret("Password: ", stop);
  if (!secret) return linger(base::exit_code_of(secret.error().code));
  return linger(secret->reveal() == expected ? 0 : 1);
}

TEST(AskSecret, TypedTextIsNotShownAndTheEchoComesBack) {
  Prompted prompted([] { return ask_and_compare("hidden-word"); });
  prompted.wait_for_text("Password: ");
  EXPECT_FALSE(prompted.echo_is_on());
  prompted.type("hidden-word\r");
  prompted.wait_for_text("LINGER");
  EXPECT_TRUE(prompted.echo_is_on());
  prompted.type("\n");
  EXPECT_EQ(prompted.exit_code(), 0);
  EXPECT_EQ(prompted.seen().find("hidden-word"), std::string::npos);
}

TEST(AskSecret, LineLongerThanTheKernelsIsReadWhole) {
  const std::string token(9000, 't');
  Prompted prompted([&] { return ask_and_compare(token); });
  prompted.wait_for_text("Password: ");
  prompted.type(token + "\n");
  prompted.wait_for_text("LINGER");
  prompted.type("\n");
  EXPECT_EQ(prompted.exit_code(), 0);
}

TEST(AskSecret, BackspaceTakesOneCharacterAndKillTheLine) {
  Prompted prompted([] { return ask_and_compare("g\xC3\xBC"); });
  prompted.wait_for_text("Password: ");
  prompted.type("wrong\x15g\xC3\xB6\x7f\xC3\xBCx\x7f\n");
  prompted.wait_for_text("LINGER");
  prompted.type("\n");
  EXPECT_EQ(prompted.exit_code(), 0);
}

TEST(AskSecret, ControlCCancelsWithTheEchoBack) {
  Prompted prompted([] { return ask_and_compare(""); });
  prompted.wait_for_text("Password: ");
  prompted.type("abc\x03");
  prompted.wait_for_text("LINGER");
  EXPECT_TRUE(prompted.echo_is_on());
  prompted.type("\n");
  EXPECT_EQ(prompted.exit_code(), base::exit_code_of(base::ErrorCode::kCancelled));
}

TEST(AskSecret, TerminationSignalCancelsWithTheEchoBack) {
  Prompted prompted([] {
    static StopEvent stop;
    stop_on_signals(stop);
    const auto secret = ask_secret("Password: ", stop);
    return linger(secret ? 0 : base::exit_code_of(secret.error().code));
  });
  prompted.wait_for_text("Password: ");
  kill(prompted.pid(), SIGTERM);
  prompted.wait_for_text("LINGER");
  EXPECT_TRUE(prompted.echo_is_on());
  prompted.type("\n");
  EXPECT_EQ(prompted.exit_code(), base::exit_code_of(base::ErrorCode::kCancelled));
}

TEST(AskYesNo, OnlyYesIsYes) {
  for (const auto& [typed, expected] :
       {std::pair{"yes\n", 1}, {"Y\n", 1}, {"no\n", 0}, {"\n", 0}, {"yess\n", 0}}) {
    Prompted prompted([] {
      const StopEvent stop;
      const auto answer = ask_yes_no("Go on? ", stop);
      return answer ? static_cast<int>(*answer) : 9;
    });
    prompted.wait_for_text("Go on? ");
    prompted.type(typed);
    EXPECT_EQ(prompted.exit_code(), expected) << typed;
  }
}

TEST(AskSecret, WithoutATerminalItIsRefused) {
  const pid_t pid = fork();
  if (pid == 0) {
    setsid();
    const StopEvent stop;
    const auto secret = ask_secret("Password: ", stop);
    _exit(!secret && secret.error().code == base::ErrorCode::kUsage && !can_ask() ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

TEST(ReadSecretFromStandardInput, LastLineEndIsNotPartOfIt) {
  const pid_t pid = fork();
  if (pid == 0) {
    int ends[2];
    if (pipe(ends) != 0 || write(ends[1], "word\r\n", 6) != 6) _exit(2);
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    const auto secret = read_secret_from_standard_input(100);
    _exit(secret && secret->reveal() == "word" ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace standfast::env
