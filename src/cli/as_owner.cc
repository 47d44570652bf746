#include "cli/as_owner.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/root_channel.h"
#include "env/process.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::error_from_errno;
using base::ErrorCode;
using base::Result;

/// A Ctrl-C goes to the child by itself, and so does a signal to the process group. What is passed on comes
/// this much later, so that it never looks like the second Ctrl-C that ends a program at once.
constexpr int kForwardAfterMs = 100;
/// How long a process that has served a request may take to be gone.
constexpr int kWorkerEndsWithinMs = 1000;
constexpr int kWorkerPollMs = 5;

std::string name_of_user(uid_t uid) {
  const auto user = env::find_user(uid);
  return user && *user ? (*user)->name : std::to_string(uid);
}

/// The directory's owner; none where it is missing and may be.
Result<std::optional<uid_t>> owner_told_by(env::FileSystem& files, const OwnerRule& rule) {
  if (rule.data_directory.empty()) return std::optional<uid_t>();
  const auto info = TRY(files.inspect_following(rule.data_directory));
  if (!info) {
    if (rule.existence == DataDirectory::kMayBeMissing) return std::optional<uid_t>();
    return Error(ErrorCode::kPrecondition, fmt::format("\"{}\" does not exist", rule.data_directory),
                 "Give the data directory of a PostgreSQL cluster with -D.");
  }
  if (info->owner != 0) return std::optional(info->owner);
  return Error(
      ErrorCode::kPermission, fmt::format("\"{}\" belongs to root", rule.data_directory),
      "PostgreSQL never runs as root: give the directory to the server's user (chown -R postgres), or "
      "name another one.");
}

Result<std::optional<uid_t>> owner_of_nearest_folder(env::FileSystem& files, const std::string& path) {
  if (path.empty()) return std::optional<uid_t>();
  for (std::string folder = env::parent_of(path);; folder = env::parent_of(folder)) {
    const auto info = TRY(files.inspect_following(folder));
    if (info && info->owner != 0) return std::optional(info->owner);
    // Only the nearest one that exists says anything; what lies above it is everybody's.
    if (info || folder == "/") return std::optional<uid_t>();
  }
}

Result<env::UserInfo> user_for_root(env::FileSystem& files, const OwnerRule& rule) {
  auto uid = TRY(owner_told_by(files, rule));
  if (!uid && !rule.user) uid = TRY(owner_of_nearest_folder(files, rule.data_directory));
  const std::string name = rule.user.value_or("postgres");
  const auto user = uid ? TRY(env::find_user(*uid)) : TRY(env::find_user(name));
  if (!user) {
    return Error(ErrorCode::kPrecondition,
                 uid ? fmt::format("\"{}\" belongs to user {}, whom this host does not know",
                                   rule.data_directory, *uid)
                     : fmt::format("there is no operating system user \"{}\" to run PostgreSQL as", name),
                 rule.data_directory.empty()
                     ? "Nothing here runs as root: run this command as an ordinary user."
                     : "PostgreSQL never runs as root: run this command as the user who is to own the data "
                       "directory.");
  }
  if (user->uid == 0) {
    return Error(ErrorCode::kPermission, "PostgreSQL never runs as root",
                 "Name another user, or run this command as the one who is to own the data directory.");
  }
  return *user;
}

Result<void> check_is_owner(env::FileSystem& files, const OwnerRule& rule) {
  if (rule.data_directory.empty()) return base::ok();
  const auto info = TRY(files.inspect_following(rule.data_directory));
  if (!info && rule.existence == DataDirectory::kMustExist) {
    return Error(ErrorCode::kPrecondition, fmt::format("\"{}\" does not exist", rule.data_directory),
                 "Give the data directory of a PostgreSQL cluster with -D.");
  }
  const uid_t self = env::effective_user();
  if (!info || info->owner == self) return base::ok();
  const std::string owner = name_of_user(info->owner);
  return Error(ErrorCode::kPermission,
               fmt::format("\"{}\" belongs to user \"{}\", not to \"{}\"", rule.data_directory, owner,
                           name_of_user(self)),
               info->owner == 0 ? "PostgreSQL never runs as root: give the directory to the server's user."
                                : fmt::format("Run this command as {} or as root.", owner));
}

/// Everything between the fork and the end of the child.
[[noreturn]] void run_child(const env::UserInfo& user, Channel channel, const sigset_t& signals_before,
                            pid_t parent, const std::function<int(server::RootHelper*)>& body) {
  if (auto became = env::become_user_irrevocably(user); !became) {
    const std::string line = "standfast: " + became.error().message + "\n";
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
    _exit(base::exit_code_of(became.error().code));
  }
  // When root's half is killed, the work stops as it would at Ctrl-C. A change of user takes this setting
  // away, so it comes after; the parent may have gone in between.
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(base::exit_code_of(ErrorCode::kCancelled));
  pthread_sigmask(SIG_SETMASK, &signals_before, nullptr);
  const auto helper = make_channel_helper(std::move(channel));
  const int code = body(helper.get());
  // Nothing of the parent's is destroyed here: files it holds are not the child's to finish.
  std::fflush(nullptr);
  _exit(code);
}

/// The half that stays root: passes signals on, serves the child's requests, and waits for its end.
class Parent {
 public:
  Parent(env::FileSystem& files, RootLeave leave, pid_t child, Channel channel, int signals)
      : files_(files),
        leave_(std::move(leave)),
        child_(child),
        channel_(std::move(channel)),
        signals_(signals) {}

  int wait_for_child() {
    while (true) {
      pollfd fds[] = {{signals_, POLLIN, 0}, {channel_.fd(), POLLIN, 0}};
      if (poll(fds, std::size(fds), -1) < 0) continue;
      if (fds[1].revents != 0) serve_request();
      if (fds[0].revents != 0) take_signal();
      if (const auto code = ended()) {
        stop_worker();
        return *code;
      }
    }
  }

 private:
  std::optional<int> ended() {
    int status = 0;
    if (worker_ > 0 && waitpid(worker_, nullptr, WNOHANG) == worker_) worker_ = 0;
    if (waitpid(child_, &status, WNOHANG) != child_) return std::nullopt;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }

  void take_signal() {
    signalfd_siginfo info{};
    if (read(signals_, &info, sizeof info) != sizeof info) return;
    const int number = static_cast<int>(info.ssi_signo);
    // The terminal's signals come from the kernel, and went to the child as well.
    if (number == SIGCHLD || info.ssi_code == SI_KERNEL) return;
    poll(nullptr, 0, kForwardAfterMs);
    const bool insists = number == SIGINT && was_interrupted_;
    was_interrupted_ = was_interrupted_ || number == SIGINT;
    kill(child_, insists ? SIGINT : SIGTERM);
  }

  /// A request may take minutes, so a process of its own serves it; it answers on the same socket.
  void serve_request() {
    const auto message = channel_.receive();
    if (!message) return;
    if (worker_is_busy()) {
      channel_.answer(Error(ErrorCode::kInUse, "root is still busy with the request before"));
      return;
    }
    worker_ = fork();
    if (worker_ == 0) {
      sigset_t none;
      sigemptyset(&none);
      for (const int number : {SIGINT, SIGTERM, SIGHUP}) signal(number, number == SIGINT ? SIG_IGN : SIG_DFL);
      pthread_sigmask(SIG_SETMASK, &none, nullptr);
      channel_.answer(cli::serve_request(files_, leave_, *message));
      _exit(0);
    }
    if (worker_ < 0) channel_.answer(error_from_errno(errno, "could not make a process for a request"));
  }

  /// One that has answered ends at once, but the next request may be here before its end is.
  bool worker_is_busy() {
    for (int waited_ms = 0; worker_ > 0 && waited_ms < kWorkerEndsWithinMs; waited_ms += kWorkerPollMs) {
      if (waitpid(worker_, nullptr, WNOHANG) == worker_) worker_ = 0;
      if (worker_ > 0) poll(nullptr, 0, kWorkerPollMs);
    }
    return worker_ > 0;
  }

  void stop_worker() {
    if (worker_ <= 0) return;
    kill(worker_, SIGTERM);
    while (waitpid(worker_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  env::FileSystem& files_;
  RootLeave leave_;
  pid_t child_;
  Channel channel_;
  int signals_;
  pid_t worker_ = 0;
  bool was_interrupted_ = false;
};

Result<int> run_in_child(env::FileSystem& files, const OwnerRule& rule, const env::UserInfo& user,
                         const std::function<int(server::RootHelper*)>& body) {
  auto [ours, theirs] = TRY(make_channel());
  sigset_t handled;
  sigset_t before;
  sigemptyset(&handled);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&handled, number);
  pthread_sigmask(SIG_BLOCK, &handled, &before);
  std::fflush(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    ours.close();
    run_child(user, std::move(theirs), before, parent, body);
  }
  const int fork_errno = errno;
  theirs.close();
  Result<int> code = error_from_errno(fork_errno, "could not make a process");
  if (child > 0) {
    const int signals = signalfd(-1, &handled, SFD_CLOEXEC);
    CHECK(signals >= 0);
    RootLeave leave{rule.data_directory, rule.firewall_addresses};
    code = Parent(files, std::move(leave), child, std::move(ours), signals).wait_for_child();
    close(signals);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return code;
}

}  // namespace

Result<int> run_as_owner(env::FileSystem& files, const OwnerRule& rule,
                         const std::function<int(server::RootHelper*)>& body) {
  OwnerRule absolute = rule;
  if (!rule.data_directory.empty()) absolute.data_directory = env::absolute_path(rule.data_directory);
  if (env::effective_user() != 0) {
    TRY(check_is_owner(files, absolute));
    return body(nullptr);
  }
  const env::UserInfo user = TRY(user_for_root(files, absolute));
  return run_in_child(files, absolute, user, body);
}

}  // namespace standfast::cli
