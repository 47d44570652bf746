// Durations and deadlines on the monotonic clock. A wait without a Deadline is not offered anywhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace standfast::base {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;
using Seconds = std::chrono::seconds;

class Deadline {
 public:
  static Deadline after(Clock::duration timeout) { return Deadline(Clock::now() + timeout); }
  static Deadline at(Clock::time_point when) { return Deadline(when); }

  bool passed() const { return Clock::now() >= when_; }
  Clock::time_point when() const { return when_; }
  /// What is left, never negative, rounded up, so that a poll() with it does not spin.
  Milliseconds remaining() const;
  Deadline earlier(Deadline other) const { return other.when_ < when_ ? other : *this; }

 private:
  explicit Deadline(Clock::time_point when) : when_(when) {}
  Clock::time_point when_;
};

class Stopwatch {
 public:
  Clock::duration elapsed() const { return Clock::now() - start_; }

 private:
  Clock::time_point start_ = Clock::now();
};

/// "850 ms", "3.2 s", "4 min 05 s", "2 h 10 min".
std::string format_duration(Clock::duration duration);
/// "512 B", "16 MiB", "3.4 GiB"; powers of 1024.
std::string format_bytes(std::uint64_t bytes);

}  // namespace standfast::base
