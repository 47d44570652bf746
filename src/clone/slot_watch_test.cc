#include "clone/slot_watch.h"

#include <vector>

#include <gtest/gtest.h>

#include "clone/test_support.h"

namespace standfast::clone {
namespace {

using agent::SlotStanding;
using agent::SlotState;
using base::Error;
using base::ErrorCode;
using base::Result;

class SlotWatchTest : public ::testing::Test {
 protected:
  Result<void> look(SlotStanding standing) {
    state_.standing = standing;
    return watch_.look();
  }

  SlotState state_{.held_bytes = 48U << 20U, .bound_bytes = 32U << 20U};
  int looks_ = 0;
  testing::KeptLines warnings_;
  SlotWatch watch_{"mine",
                   [this](const std::string& slot) -> Result<SlotState> {
                     EXPECT_EQ(slot, "mine");
                     ++looks_;
                     return state_;
                   },
                   warnings_};
};

TEST_F(SlotWatchTest, ItsBoundIsSaidOnceEachTimeThatItIsNear) {
  for (const SlotStanding standing :
       {SlotStanding::kReserved, SlotStanding::kUnreserved, SlotStanding::kUnreserved})
    ASSERT_TRUE(look(standing));
  ASSERT_EQ(warnings_.warnings.size(), 1U);
  EXPECT_NE(warnings_.warnings[0].find("holds 48 MiB of WAL and max_slot_wal_keep_size is 32 MiB"),
            std::string::npos)
      << warnings_.warnings[0];
  ASSERT_TRUE(look(SlotStanding::kReserved));
  ASSERT_TRUE(look(SlotStanding::kUnreserved));
  EXPECT_EQ(warnings_.warnings.size(), 2U);
}

TEST_F(SlotWatchTest, LostWalEndsTheCopy) {
  const auto lost = look(SlotStanding::kLost);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, ErrorCode::kSlot);
  EXPECT_NE(lost.error().hint.find("run this again"), std::string::npos);
}

TEST_F(SlotWatchTest, NowAndThenIsNotEachTime) {
  const base::Stopwatch watch;
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(watch_.look_now_and_then());
  EXPECT_GE(looks_, 1);
  EXPECT_LE(looks_, 1 + watch.elapsed() / base::Seconds(5));
}

TEST_F(SlotWatchTest, AFailureOfTheStreamIsTheSlotsWhereThatHasLostItsWal) {
  const Error failure(ErrorCode::kConnect, "the stream broke");
  state_.standing = SlotStanding::kReserved;
  EXPECT_EQ(watch_.explain(failure).message, "the stream broke");
  state_.standing = SlotStanding::kMissing;  // a temporary one went with its connection
  EXPECT_EQ(watch_.explain(failure).message, "the stream broke");
  EXPECT_NE(watch_.explain(failure).hint.find("max_slot_wal_keep_size"), std::string::npos);
  state_.standing = SlotStanding::kLost;
  EXPECT_EQ(watch_.explain(failure).code, ErrorCode::kSlot);
}

}  // namespace
}  // namespace standfast::clone
