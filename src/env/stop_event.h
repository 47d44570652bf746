// A flag that is set once, by Ctrl-C or by a thread that gives up, and that a poll() can wait for.
//
// Threading: set() may be called from any thread and from a signal handler; the rest from any thread.
// Ownership: borrowed by everything that waits; outlives it.
#pragma once

#include <atomic>
#include <memory>

#include "base/result.h"
#include "base/time.h"

namespace standfast::env {

class StopEvent {
 public:
  /// For one of a few, made at the start: no descriptor left ends the program.
  StopEvent();
  /// For one of many. Fails: kIo where no descriptor is left.
  static base::Result<std::unique_ptr<StopEvent>> make();
  ~StopEvent();
  StopEvent(const StopEvent&) = delete;
  StopEvent& operator=(const StopEvent&) = delete;

  void set() noexcept;
  bool is_set() const noexcept { return set_.load(std::memory_order_acquire); }
  int fd() const noexcept { return fd_; }  ///< readable once set

 private:
  explicit StopEvent(int fd) : fd_(fd) {}

  std::atomic<bool> set_ = false;
  int fd_ = -1;
};

/// SIGINT, SIGTERM and SIGHUP set `event` from now on; SIGPIPE is ignored. A second SIGINT ends the process
/// at once: whoever insists is obeyed. `event` must live as long as the process.
void stop_on_signals(StopEvent& event);

/// How long a blocking call may take, and what ends it early. Passed by value.
struct Wait {
  base::Deadline deadline;
  const StopEvent* stop = nullptr;

  static Wait for_at_most(base::Clock::duration timeout, const StopEvent* stop_event = nullptr) {
    return {base::Deadline::after(timeout), stop_event};
  }
  bool stopped() const { return stop != nullptr && stop->is_set(); }
};

enum class Ready { kYes, kTimeout, kStopped };

/// Waits until `fd` is ready for `poll_events` (POLLIN, POLLOUT), the deadline passes or the stop event is
/// set. A negative fd waits for the other two only: a sleep that can be interrupted.
Ready wait_for(int fd, short poll_events, const Wait& wait);

base::Error cancelled_error();

}  // namespace standfast::env
