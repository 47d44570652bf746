#include "env/process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/check.h"
#include "env/posix/child.h"

extern char** environ;

namespace standfast::env {
namespace {

using base::ErrorCode;
using base::Result;

constexpr const char* kThisProgram = "/proc/self/exe";
constexpr auto kTerminationGrace = base::Seconds(5);

/// What has come out of one of the child's pipes.
class Capture {
 public:
  explicit Capture(Descriptor fd) : fd_(std::move(fd)) {
    fcntl(fd_.get(), F_SETFL, fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
  }
  int fd() const { return fd_.get(); }

  /// Reads what is there now, at most `kMaxCapturedBytes` a call, because a grandchild may write for ever.
  void drain() {
    std::array<char, 16U << 10U> buffer;
    std::size_t total = 0;
    while (fd_.get() >= 0 && total < kMaxCapturedBytes) {
      const ssize_t count = read(fd_.get(), buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EAGAIN) return;
      if (count <= 0) {
        fd_.reset();
        return;
      }
      const auto size = static_cast<std::size_t>(count);
      total += size;
      text_.append(buffer.data(), std::min(size, kMaxCapturedBytes - text_.size()));
    }
  }
  std::string take() { return std::move(text_); }

 private:
  Descriptor fd_;
  std::string text_;
};

enum class Ended { kByItself, kTimeout, kStopped };

Ended wait_for_child(Child& child, Capture& output, Capture& errors, const Wait& wait) {
  while (!child.has_ended()) {
    if (wait.stopped()) return Ended::kStopped;
    if (wait.deadline.passed()) return Ended::kTimeout;
    pollfd fds[] = {{output.fd(), POLLIN, 0},
                    {errors.fd(), POLLIN, 0},
                    {child.fd(), POLLIN, 0},
                    {wait.stop != nullptr ? wait.stop->fd() : -1, POLLIN, 0}};
    auto longest = std::min(wait.deadline.remaining(), base::Milliseconds(base::Seconds(3600)));
    if (child.fd() < 0) longest = std::min(longest, kChildPollInterval);
    if (poll(fds, std::size(fds), static_cast<int>(longest.count())) < 0) {
      CHECK(errno == EINTR || errno == EAGAIN);
      continue;
    }
    if (fds[0].revents != 0) output.drain();
    if (fds[1].revents != 0) errors.drain();
    if (fds[3].revents != 0) return Ended::kStopped;
  }
  output.drain();
  errors.drain();
  return Ended::kByItself;
}

Result<CommandResult> await(Child& child, Capture& output, Capture& errors, const std::string& name,
                            const Wait& wait) {
  const Ended ended = wait_for_child(child, output, errors, wait);
  if (ended == Ended::kByItself) return CommandResult{child.exit_code(), output.take(), errors.take()};
  child.signal_group(SIGTERM);
  const Wait grace = Wait::for_at_most(kTerminationGrace);
  // What the group leaves running after its leader has gone is killed too: a program that was given up must
  // not go on doing something behind our back.
  static_cast<void>(wait_for_child(child, output, errors, grace));
  child.signal_group(SIGKILL);
  static_cast<void>(wait_for_child(child, output, errors, Wait::for_at_most(kTerminationGrace)));
  if (ended == Ended::kStopped) return cancelled_error();
  base::Error error(ErrorCode::kTimeout, "\"" + name + "\" did not end in time and was stopped");
  error.retryable = true;
  return error;
}

}  // namespace

std::string this_program(FileSystem& files) {
  const auto path = files.read_symlink(kThisProgram);
  const auto named = path ? files.inspect_following(*path) : Result<std::optional<FileInfo>>(path.error());
  const auto running = files.inspect_following(kThisProgram);
  const bool is_it = named && *named && running && *running && (*named)->inode == (*running)->inode &&
                     (*named)->device == (*running)->device;
  return is_it ? *path : kThisProgram;
}

void forget_postgres_environment() {
  std::vector<std::string> names;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (text.starts_with("PG")) names.emplace_back(text.substr(0, text.find('=')));
  }
  for (const std::string& name : names) unsetenv(name.c_str());
}

Result<CommandResult> run_command(const Command& command, const Wait& wait) {
  CHECK(!command.argv.empty());
  if (wait.stopped()) return cancelled_error();
  Pipe output = TRY(make_pipe());
  Pipe errors = TRY(make_pipe());
  Child child(TRY(start_child(command, output.write.get(), errors.write.get())));
  output.write.reset();
  errors.write.reset();
  Capture captured_output(std::move(output.read));
  Capture captured_errors(std::move(errors.read));
  return await(child, captured_output, captured_errors, command.argv.front(), wait);
}

bool process_exists(pid_t pid) {
  return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
}

}  // namespace standfast::env
