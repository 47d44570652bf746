#include "clone/rate_limit.h"

#include <algorithm>
#include <chrono>

namespace standfast::clone {

base::Clock::time_point RateLimit::book(std::uint64_t bytes, base::Clock::time_point now) {
  if (!bytes_per_second_) return now;
  const std::chrono::duration<double> takes(static_cast<double>(bytes) /
                                            static_cast<double>(*bytes_per_second_));
  const std::lock_guard lock(mutex_);
  // Time in which nothing was asked for is not made up for.
  const auto begin = std::max(now, free_from_);
  free_from_ = begin + std::chrono::duration_cast<base::Clock::duration>(takes);
  return begin;
}

base::Result<void> RateLimit::take(std::uint64_t bytes, const env::StopEvent& stop) {
  const auto begin = book(bytes, base::Clock::now());
  if (begin <= base::Clock::now()) return base::ok();
  const env::Wait wait{base::Deadline::at(begin), &stop};
  if (env::wait_for(-1, 0, wait) == env::Ready::kStopped) return env::cancelled_error();
  return base::ok();
}

}  // namespace standfast::clone
