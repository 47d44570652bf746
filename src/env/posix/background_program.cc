#include "env/background_program.h"

#include <cerrno>
#include <csignal>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>

#include "env/posix/child.h"

namespace standfast::env {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

}  // namespace

BackgroundProgram::BackgroundProgram(std::unique_ptr<Child> child) : child_(std::move(child)) {}
BackgroundProgram::~BackgroundProgram() = default;
BackgroundProgram::BackgroundProgram(BackgroundProgram&& other) noexcept = default;
BackgroundProgram& BackgroundProgram::operator=(BackgroundProgram&& other) noexcept = default;

Result<BackgroundProgram> BackgroundProgram::start(const Command& command, const std::string& log_file) {
  const Descriptor log(
      open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));  // NOLINT
  if (log.get() < 0) return base::error_from_errno(errno, fmt::format("could not open \"{}\"", log_file));
  return BackgroundProgram(std::make_unique<Child>(TRY(start_child(command, log.get(), log.get()))));
}

pid_t BackgroundProgram::pid() const {
  return child_->pid();
}

std::optional<int> BackgroundProgram::exit_code() const {
  return child_->has_ended() ? std::optional(child_->exit_code()) : std::nullopt;
}

Result<int> BackgroundProgram::stop(const Wait& wait) {
  if (!child_->has_ended()) kill(child_->pid(), SIGTERM);
  while (!child_->has_ended()) {
    const Wait step{wait.deadline.earlier(base::Deadline::after(kChildPollInterval)), wait.stop};
    const Ready ready = wait_for(child_->fd(), POLLIN, child_->fd() >= 0 ? wait : step);
    const bool is_over = ready == Ready::kStopped || wait.deadline.passed();
    if (child_->has_ended() || !is_over) continue;
    const pid_t process = child_->pid();
    child_->signal_group(SIGKILL);
    child_.reset();
    if (ready == Ready::kStopped) return cancelled_error();
    return Error(ErrorCode::kTimeout,
                 fmt::format("process {} did not end in time after SIGTERM, and was killed", process));
  }
  return child_->exit_code();
}

void BackgroundProgram::leave() {
  child_->leave();
}

}  // namespace standfast::env
