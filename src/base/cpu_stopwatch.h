// The CPU time of a thread: other work of the machine does not lengthen it (clock_gettime(2),
// CLOCK_THREAD_CPUTIME_ID).
//
// Threading: made and asked in one thread.
#pragma once

#include <chrono>
#include <utility>

namespace standfast::base {

class CpuStopwatch {
 public:
  CpuStopwatch() : start_(now()) {}
  std::chrono::nanoseconds elapsed() const { return now() - start_; }
  /// What elapsed, and begins anew.
  std::chrono::nanoseconds lap() {
    const std::chrono::nanoseconds before = std::exchange(start_, now());
    return start_ - before;
  }

 private:
  static std::chrono::nanoseconds now();
  std::chrono::nanoseconds start_;
};

}  // namespace standfast::base
