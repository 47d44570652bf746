#include "base/cpu_stopwatch.h"

#include <thread>

#include <gtest/gtest.h>

#include "base/time.h"

namespace standfast::base {
namespace {

TEST(CpuStopwatch, GoesOnWhileTheThreadWorksAndNotWhileAnotherDoes) {
  using namespace std::chrono_literals;
  CpuStopwatch here;
  std::thread([] {
    const CpuStopwatch there;
    while (there.elapsed() < 300ms) {
    }
  }).join();
  // To start a thread takes next to nothing, but in a virtual machine what its host takes away counts as
  // used.
  EXPECT_LT(here.lap(), 200ms);
  const Deadline limit = Deadline::after(Seconds(30));
  while (here.elapsed() < 1ms) ASSERT_FALSE(limit.passed());
  EXPECT_GE(here.lap(), 1ms);
}

}  // namespace
}  // namespace standfast::base
