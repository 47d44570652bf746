#include "base/cpu_stopwatch.h"

#include <ctime>

namespace standfast::base {

std::chrono::nanoseconds CpuStopwatch::now() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

}  // namespace standfast::base
