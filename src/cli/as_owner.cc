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
#include "cli/root_service.h"
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
  return Error(ErrorCode::kPermission, fmt::format("\"{}\" belongs to root", rule.data_directory),
               fmt::format("{} never runs as root: give the directory to the user who is to run it (chown -R "
                           "postgres), or name another one.",
                           rule.what_runs));
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
    return Error(
        ErrorCode::kPrecondition,
        uid ? fmt::format("\"{}\" belongs to user {}, whom this host does not know", rule.data_directory,
                          *uid)
            : fmt::format("there is no operating system user \"{}\" to run {} as", name, rule.what_runs),
        rule.data_directory.empty()
            ? "Nothing here runs as root: run this command as an ordinary user."
            : fmt::format("{} never runs as root: run this command as the user who is to own "
                          "the directory.",
                          rule.what_runs));
  }
  if (user->uid == 0) {
    return Error(ErrorCode::kPermission, fmt::format("{} never runs as root", rule.what_runs),
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
               info->owner == 0
                   ? fmt::format("{} never runs as root: give the directory to the user who is to run it.",
                                 rule.what_runs)
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

/// The half that stays root: passes signals on, has the child's requests served, and waits for its end.
class Parent {
 public:
  Parent(RootService service, pid_t child, int signals, OnHangup on_hangup)
      : service_(std::move(service)), child_(child), signals_(signals), on_hangup_(on_hangup) {}

  int wait_for_child() {
    while (true) {
      pollfd fds[] = {{signals_, POLLIN, 0}, {service_.fd(), POLLIN, 0}};
      if (poll(fds, std::size(fds), -1) < 0) continue;
      if (fds[1].revents != 0) service_.take_request();
      if (fds[0].revents != 0) take_signal();
      service_.reap();
      int status = 0;
      if (waitpid(child_, &status, WNOHANG) != child_) continue;
      service_.finish(WIFSIGNALED(status) ? RootService::ChildEnd::kKilled
                                          : RootService::ChildEnd::kByItself);
      return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
  }

 private:
  void take_signal() {
    signalfd_siginfo info{};
    if (read(signals_, &info, sizeof info) != sizeof info) return;
    const int number = static_cast<int>(info.ssi_signo);
    // The terminal's signals come from the kernel, and went to the child as well.
    if (number == SIGCHLD || info.ssi_code == SI_KERNEL) return;
    if (number == SIGHUP && on_hangup_ == OnHangup::kPassOn) {
      kill(child_, SIGHUP);
      return;
    }
    poll(nullptr, 0, kForwardAfterMs);
    const bool insists = number == SIGINT && was_interrupted_;
    was_interrupted_ = was_interrupted_ || number == SIGINT;
    kill(child_, insists ? SIGINT : SIGTERM);
  }

  RootService service_;
  pid_t child_;
  int signals_;
  OnHangup on_hangup_;
  bool was_interrupted_ = false;
};

Result<int> run_in_child(env::FileSystem& files, const OwnerRule& rule, const env::UserInfo& user,
                         const std::function<int(server::RootHelper*)>& body) {
  RootLeave leave{TRY(hold_directory(files, rule.data_directory, user.uid)),
                  FirewallLeave(rule.firewall_addresses, rule.firewall_ports), rule.agent};
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
    code = Parent(RootService(files, std::move(leave), std::move(ours)), child, signals, rule.on_hangup)
               .wait_for_child();
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
