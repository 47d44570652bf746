#include "setup/promotion.h"

#include <gtest/gtest.h>

namespace standfast::setup {
namespace {

TEST(TimelineHistory, LastLineSaysWhereTheTimelineBegan) {
  const auto last =
      last_switch_in("1\t0/3000148\tno recovery target specified\n\n2\t0/5000060\tafter a test\n");
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->parent, pg::TimelineId(2));
  EXPECT_EQ(last->at, *pg::Lsn::parse("0/5000060"));
}

TEST(TimelineHistory, CommentsAndRubbishAreNoSwitches) {
  EXPECT_FALSE(last_switch_in("").has_value());
  EXPECT_FALSE(last_switch_in("# 1\t0/3000148\n\n1\nx\t0/1\n1\tx\n").has_value());
  EXPECT_TRUE(last_switch_in("  1  0/3000148  no line end").has_value());
}

PromotionOutcome outcome_with(std::optional<pg::Lsn> primary, pg::Lsn begins_at) {
  PromotionOutcome outcome;
  outcome.standby.received = begins_at;
  outcome.begins_at = begins_at;
  outcome.primary.last_known = primary;
  return outcome;
}

TEST(Gap, BytesOfThePrimaryBeyondTheNewTimelineStayBehind) {
  const auto outcome = outcome_with(pg::Lsn(0x5000400), pg::Lsn(0x5000000));
  EXPECT_EQ(outcome.bytes_left_behind(), 0x400U);
  EXPECT_NE(describe_gap(outcome).find("0/5000400"), std::string::npos);
  EXPECT_NE(describe_gap(outcome).find("1024 bytes"), std::string::npos);
}

TEST(Gap, StandbyThatHasAllLeavesNothingBehind) {
  EXPECT_EQ(outcome_with(pg::Lsn(0x5000000), pg::Lsn(0x5000000)).bytes_left_behind(), 0U);
  EXPECT_EQ(outcome_with(pg::Lsn(0x4000000), pg::Lsn(0x5000000)).bytes_left_behind(), 0U);
}

TEST(Gap, PrimaryOfWhichNothingIsKnownIsNotCalledHarmless) {
  const auto outcome = outcome_with(std::nullopt, pg::Lsn(0x5000000));
  EXPECT_FALSE(outcome.bytes_left_behind().has_value());
  EXPECT_NE(describe_gap(outcome).find("nothing is known"), std::string::npos);
  EXPECT_NE(describe_gap(outcome).find("0/5000000"), std::string::npos);
}

}  // namespace
}  // namespace standfast::setup
