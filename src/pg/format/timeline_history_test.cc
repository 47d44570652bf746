#include "pg/format/timeline_history.h"

#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

constexpr std::string_view kText =
    "1\t0/3000148\tno recovery target specified\n\n3\t0/5000060\tafter a test\n";

TEST(TimelineHistory, TellsWhereEachTimelineBeginsAndEnds) {
  const auto history = TimelineHistory::parse(TimelineId(4), kText);
  ASSERT_TRUE(history);
  EXPECT_EQ(history->end_of(TimelineId(1)), Lsn(0x3000148));
  EXPECT_EQ(history->begin_of(TimelineId(1)), Lsn());
  EXPECT_EQ(history->begin_of(TimelineId(3)), Lsn(0x3000148));
  EXPECT_EQ(history->begin_of(TimelineId(4)), Lsn(0x5000060));
  EXPECT_EQ(history->after(TimelineId(1)), TimelineId(3));
  EXPECT_EQ(history->after(TimelineId(3)), TimelineId(4));
  EXPECT_FALSE(history->after(TimelineId(4)));
  EXPECT_FALSE(history->end_of(TimelineId(4)));
  EXPECT_FALSE(history->contains(TimelineId(2)));
  EXPECT_FALSE(history->begin_of(TimelineId(2)));
}

TEST(TimelineHistory, TheFirstTimelineHasNoFile) {
  const auto history = TimelineHistory::parse(TimelineId(1), "");
  ASSERT_TRUE(history);
  EXPECT_TRUE(history->contains(TimelineId(1)));
  EXPECT_TRUE(history->switches().empty());
}

TEST(TimelineHistory, CommentsAndRubbishAreNoSwitches) {
  const auto history =
      TimelineHistory::parse(TimelineId(2), "# 1\t0/3000148\n\n1\nx\t0/1\n1\tx\n  1  0/148  no line end");
  ASSERT_TRUE(history);
  EXPECT_EQ(history->switches(), (std::vector<TimelineSwitch>{{TimelineId(1), Lsn(0x148)}}));
}

TEST(TimelineHistory, WhatDoesNotLeadUpwardsIsNone) {
  EXPECT_FALSE(TimelineHistory::parse(TimelineId(4), "2\t0/3000148\n1\t0/5000060\n"));
  EXPECT_FALSE(TimelineHistory::parse(TimelineId(4), "1\t0/5000060\n2\t0/3000148\n"));
  EXPECT_FALSE(TimelineHistory::parse(TimelineId(2), "2\t0/3000148\n"));
}

}  // namespace
}  // namespace standfast::pg
