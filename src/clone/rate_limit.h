// How fast all streams of a copy together may ask for bytes.
//
// Threading: any number of threads. Invariant: over any time, no more than the rate allows and what each
// stream asks for at once. Fails: kCancelled when the stop event is set.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>

#include "base/result.h"
#include "base/time.h"
#include "env/stop_event.h"

namespace standfast::clone {

class RateLimit {
 public:
  /// No value: as fast as it goes.
  explicit RateLimit(std::optional<std::uint64_t> bytes_per_second) : bytes_per_second_(bytes_per_second) {}

  bool is_limited() const { return bytes_per_second_.has_value(); }
  /// When these bytes may be asked for; later ones are put off by as long as these take.
  base::Clock::time_point book(std::uint64_t bytes, base::Clock::time_point now);
  /// Waits until then.
  base::Result<void> take(std::uint64_t bytes, const env::StopEvent& stop);

 private:
  std::optional<std::uint64_t> bytes_per_second_;
  std::mutex mutex_;
  base::Clock::time_point free_from_{};
};

}  // namespace standfast::clone
