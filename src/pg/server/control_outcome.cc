// What comes of a start, a restart or a stop: the server's log, and the wait until it is up or gone.
#include <fmt/format.h>

#include "pg/server/control.h"
#include "pg/server/server_log.h"
#include "pg/server/systemd.h"

namespace standfast::server {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr auto kPollInterval = base::Milliseconds(50);
constexpr auto kMaxReapTime = base::Seconds(10);
constexpr std::uint64_t kMaxSmallFileBytes = 64U << 10U;

bool is_up(const PostmasterPid& postmaster) {
  return postmaster.status == PostmasterStatus::kReady || postmaster.status == PostmasterStatus::kStandby;
}

/// The file a running server's standard error goes to, so that a restart does not send it elsewhere.
std::optional<std::string> log_file_of(env::FileSystem& files, pid_t pid) {
  const auto target = files.read_symlink(fmt::format("/proc/{}/fd/2", pid));
  if (!target || !target->starts_with('/')) return std::nullopt;
  const auto info = files.inspect(*target);
  if (!info || !*info || (*info)->kind != env::FileKind::kRegular) return std::nullopt;
  return *target;
}

/// proc(5): "PID (NAME) STATE ...".
bool is_zombie(env::FileSystem& files, pid_t pid) {
  const auto status = env::read_whole_file(files, fmt::format("/proc/{}/stat", pid), kMaxSmallFileBytes);
  return status && status->find(") Z ") != std::string::npos;
}

}  // namespace

Result<ServerControl::Log> ServerControl::prepare_log(const std::optional<PostmasterPid>& running_now) const {
  Log log;
  if (cluster_.debian()) {
    log.path = cluster_.debian()->log_file();
  } else if (manager_ == Manager::kPgCtl) {
    if (running_now) log.path = log_file_of(*files_, running_now->pid).value_or("");
    if (log.path.empty() || log.path.find_first_of(kShellCharacters) != std::string::npos) {
      log.path = cluster_.data_directory() + "/" + std::string(kStartLogName);
    }
    const std::string folder = env::parent_of(log.path);
    // The server itself makes it with the rights of its data directory.
    if (!TRY(files_->inspect_following(folder))) TRY(files_->make_directory(folder, cluster_.mode() & 0750));
    if (!TRY(files_->inspect(log.path))) TRY(files_->create(log.path, 0600, env::OnExisting::kFail));
  }
  const auto info = files_->inspect_following(log.path);
  if (info && *info) log.size_bytes = (*info)->size_bytes;
  return log;
}

Error ServerControl::start_failed(const Log& log, const std::string& complaint) const {
  const std::string tail = read_log_tail(*files_, log.path, log.size_bytes, cluster_.data_directory());
  Error error = explain_start_failure(cluster_.data_directory(), log.path, tail, complaint);
  if (manager_ == Manager::kSystemd) {
    const auto state = read_unit_state(unit_, env::Wait::for_at_most(kSystemctlQuestionTimeout));
    if (state && state->result == "timeout") {
      error.message =
          fmt::format("{} did not start within its TimeoutStartSec, so systemd stopped it", unit_);
      error.hint = fmt::format(
          "A recovery may take longer: as root run \"systemctl edit {}\", write TimeoutStartSec=infinity "
          "below "
          "[Service], and start it again.",
          unit_);
    }
  }
  if (tail.empty() && !unit_.empty()) error.hint = fmt::format("See journalctl -u {}.", unit_);
  return error;
}

Result<void> ServerControl::wait_until_up(const Log& log, const std::string& complaint,
                                          const env::Wait& wait) const {
  while (true) {
    const auto postmaster = TRY(cluster_.running());
    // A Ctrl-C while it starts may well have ended it.
    if (!postmaster) return wait.stopped() ? env::cancelled_error() : start_failed(log, complaint);
    if (is_up(*postmaster)) return base::ok();
    if (wait.stopped()) return env::cancelled_error().with_hint("The server was told to start, and goes on.");
    if (wait.deadline.passed()) {
      Error error(ErrorCode::kTimeout,
                  fmt::format("the server on \"{}\" runs, but does not take connections yet",
                              cluster_.data_directory()),
                  "It is left running and may still come up.");
      const std::string tail = log_tail();
      if (!tail.empty()) error.hint += " Its log ends with:\n" + tail;
      error.retryable = true;
      return error;
    }
    static_cast<void>(
        env::wait_for(-1, 0, {wait.deadline.earlier(base::Deadline::after(kPollInterval)), wait.stop}));
  }
}

Result<void> ServerControl::wait_until_gone(pid_t pid, const env::Wait& wait) const {
  while (cluster_.is_postmaster(pid)) {
    if (wait.stopped()) return env::cancelled_error();
    if (wait.deadline.passed()) {
      Error error(
          ErrorCode::kTimeout,
          fmt::format("the server on \"{}\" was told to stop and still runs", cluster_.data_directory()),
          "It waits for sessions or for its last checkpoint; look into its log, then try again.");
      error.retryable = true;
      return error;
    }
    static_cast<void>(
        env::wait_for(-1, 0, {wait.deadline.earlier(base::Deadline::after(kPollInterval)), wait.stop}));
  }
  return base::ok();
}

/// A killed postmaster that process 1 has not waited for yet still has its id, and PostgreSQL takes
/// postmaster.pid for that of a living server as long as it does.
Result<void> ServerControl::wait_until_reaped(const env::Wait& wait) const {
  const auto text =
      env::read_whole_file(*files_, cluster_.data_directory() + "/postmaster.pid", kMaxSmallFileBytes);
  const auto postmaster = text ? parse_postmaster_pid(*text) : Result<PostmasterPid>(text.error());
  if (!postmaster) return base::ok();
  const env::Wait brief{wait.deadline.earlier(base::Deadline::after(kMaxReapTime)), wait.stop};
  while (is_zombie(*files_, postmaster->pid) && !brief.deadline.passed()) {
    if (brief.stopped()) return env::cancelled_error();
    static_cast<void>(
        env::wait_for(-1, 0, {brief.deadline.earlier(base::Deadline::after(kPollInterval)), brief.stop}));
  }
  return base::ok();
}

std::string ServerControl::log_tail() const {
  std::string path;
  if (const auto postmaster = cluster_.running(); postmaster && *postmaster) {
    path = log_file_of(*files_, (*postmaster)->pid).value_or("");
  }
  return read_log_tail(*files_, path, 0, cluster_.data_directory());
}

Result<void> remove_start_log(env::FileSystem& files, const std::string& data_directory) {
  const std::string path = data_directory + "/" + std::string(kStartLogName);
  if (!TRY(files.inspect(path))) return base::ok();
  return files.remove_file(path);
}

}  // namespace standfast::server
