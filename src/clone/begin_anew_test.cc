#include "clone/begin_anew.h"

#include <gtest/gtest.h>

namespace standfast::clone {
namespace {

using base::Error;
using base::ErrorCode;

class BeginAnewTest : public ::testing::Test {
 protected:
  static Error failure(ErrorCode code) { return {code, "it failed"}; }

  base::NullReporter reporter_;
  env::StopEvent stop_;
  BeginAnew anew_{reporter_, stop_, {.times = 2, .first_pause = base::Milliseconds(1)}};
};

TEST_F(BeginAnewTest, AFewTimesWhereConnectionsBrokeOff) {
  EXPECT_TRUE(anew_.after(failure(ErrorCode::kConnect), Left::kPart));
  EXPECT_TRUE(anew_.after(failure(ErrorCode::kTimeout), Left::kPart));
  EXPECT_FALSE(anew_.after(failure(ErrorCode::kConnect), Left::kPart));
}

TEST_F(BeginAnewTest, NotWhereThereIsNoCopyYet) {
  EXPECT_FALSE(anew_.after(failure(ErrorCode::kConnect), Left::kNothing));
  EXPECT_TRUE(anew_.after(failure(ErrorCode::kConnect), Left::kPart));
  EXPECT_TRUE(anew_.after(failure(ErrorCode::kConnect), Left::kNothing));  // the source is not back yet
}

TEST_F(BeginAnewTest, NotForAnotherReason) {
  for (const ErrorCode code :
       {ErrorCode::kDiskFull, ErrorCode::kDamaged, ErrorCode::kSlot, ErrorCode::kProtocol})
    EXPECT_FALSE(anew_.after(failure(code), Left::kPart));
}

TEST_F(BeginAnewTest, AStopEndsIt) {
  BeginAnew slow(reporter_, stop_, {.first_pause = base::Seconds(1000)});
  stop_.set();
  EXPECT_FALSE(slow.after(failure(ErrorCode::kConnect), Left::kPart));
}

}  // namespace
}  // namespace standfast::clone
