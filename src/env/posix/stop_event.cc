#include "env/stop_event.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"

namespace standfast::env {
namespace {

std::atomic<StopEvent*> signal_target = nullptr;

void on_signal(int number) {
  const int saved_errno = errno;
  StopEvent* event = signal_target.load();
  if (event != nullptr && !(number == SIGINT && event->is_set())) {
    event->set();
  } else {
    signal(number, SIG_DFL);
    raise(number);
  }
  errno = saved_errno;
}

}  // namespace

StopEvent::StopEvent() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CHECK(fd_ >= 0);
}

base::Result<std::unique_ptr<StopEvent>> StopEvent::make() {
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return base::error_from_errno(errno, "could not make an event");
  return std::unique_ptr<StopEvent>(new StopEvent(fd));
}

StopEvent::~StopEvent() {
  close(fd_);
}

void StopEvent::set() noexcept {
  set_.store(true, std::memory_order_release);
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(fd_, &one, sizeof one);
}

void stop_on_signals(StopEvent& event) {
  signal_target = &event;
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  // Of two that come at once the handler of the first has to end before that of the second begins.
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&action.sa_mask, number);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

Ready wait_for(int fd, short poll_events, const Wait& wait) {
  pollfd fds[2] = {{fd, poll_events, 0}, {wait.stop != nullptr ? wait.stop->fd() : -1, POLLIN, 0}};
  while (true) {
    if (wait.stopped()) return Ready::kStopped;
    const auto left_ms = wait.deadline.remaining().count();
    const int count = poll(fds, 2, static_cast<int>(std::min<long>(left_ms, 3'600'000)));
    if (count < 0) {
      CHECK(errno == EINTR || errno == EAGAIN);
      continue;
    }
    if (fds[1].revents != 0) return Ready::kStopped;
    if (fds[0].revents != 0) return Ready::kYes;
    if (wait.deadline.passed()) return Ready::kTimeout;
  }
}

base::Error cancelled_error() {
  return {base::ErrorCode::kCancelled, "interrupted"};
}

}  // namespace standfast::env
