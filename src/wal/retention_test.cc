#include "wal/retention.h"

#include <gtest/gtest.h>

namespace standfast::wal {
namespace {

constexpr std::uint64_t kSegment = 1U << 24U;
constexpr std::int64_t kNow = 1'000'000;

/// Ten segments, the first a thousand seconds old, each next one a hundred younger.
RetentionInput ten_segments() {
  RetentionInput input{.segments = {},
                       .slots = {},
                       .store = {.timeline = pg::TimelineId(1), .durable_end = pg::Lsn(11 * kSegment)},
                       .proof_from = pg::Lsn(11 * kSegment),
                       .now_unix_seconds = kNow,
                       .segment_bytes = kSegment};
  for (std::uint64_t i = 1; i <= 10; ++i) {
    input.segments.push_back(
        {pg::TimelineId(1), pg::Lsn(i * kSegment), kNow - 1100 + static_cast<std::int64_t>(i) * 100});
  }
  return input;
}

RetainedSlot slot(std::uint64_t restart, std::uint64_t flushed) {
  return {"pgstandby1", pg::Lsn(restart), pg::Lsn(flushed)};
}

TEST(Retention, WithoutAStandbyThatHasItNothingGoes) {
  const auto plan = plan_retention({}, ten_segments());
  EXPECT_TRUE(plan.drop.empty());
  EXPECT_EQ(plan.unproven_bytes, 10 * kSegment);
}

TEST(Retention, WhatASlotNeedsStays) {
  auto input = ten_segments();
  input.slots = {slot(4 * kSegment + 1, 9 * kSegment), slot(8 * kSegment, 8 * kSegment)};
  const auto plan = plan_retention({}, input);
  ASSERT_EQ(plan.drop.size(), 3U);
  EXPECT_EQ(plan.drop.back().start, pg::Lsn(3 * kSegment));
  EXPECT_EQ(plan.unproven_bytes, 0U);
}

TEST(Retention, SizeAndTimeKeepEachForItself) {
  auto input = ten_segments();
  input.slots = {slot(11 * kSegment, 11 * kSegment)};
  EXPECT_EQ(plan_retention({.keep_bytes = 4 * kSegment}, input).drop.size(), 6U);
  EXPECT_EQ(plan_retention({.keep_bytes = 4 * kSegment, .keep_seconds = 800}, input).drop.size(), 3U);
  EXPECT_EQ(plan_retention({.keep_bytes = 100 * kSegment}, input).drop.size(), 0U);
}

TEST(Retention, ASlotPastTheBoundIsLostButNotTheOnlyCopy) {
  auto input = ten_segments();
  input.slots = {slot(2 * kSegment, 2 * kSegment), slot(7 * kSegment, 7 * kSegment)};
  input.slots[1].name = "other";
  const auto plan = plan_retention({.slot_keep_bytes = 5 * kSegment}, input);
  EXPECT_EQ(plan.lost_slots, std::vector<std::string>{"pgstandby1"});
  ASSERT_EQ(plan.drop.size(), 6U);
  EXPECT_EQ(plan.drop.back().start, pg::Lsn(6 * kSegment)) << "what no standby has stays";

  input.slots.pop_back();
  const auto alone = plan_retention({.slot_keep_bytes = 5 * kSegment}, input);
  EXPECT_EQ(alone.lost_slots.size(), 1U);
  ASSERT_EQ(alone.drop.size(), 1U) << "it had only the first";
  EXPECT_EQ(alone.unproven_bytes, 9 * kSegment);
}

TEST(Retention, WhatProvesTheEndStays) {
  auto input = ten_segments();
  input.slots = {slot(11 * kSegment, 11 * kSegment)};
  input.proof_from = pg::Lsn(5 * kSegment + 100);
  const auto plan = plan_retention({}, input);
  ASSERT_EQ(plan.drop.size(), 4U);
  EXPECT_EQ(plan.drop.back().start, pg::Lsn(4 * kSegment));
  EXPECT_EQ(plan.unproven_bytes, 0U);
}

TEST(Retention, ALostSlotHoldsNothing) {
  auto input = ten_segments();
  input.slots = {slot(2 * kSegment, 2 * kSegment), slot(11 * kSegment, 11 * kSegment)};
  input.slots[0].is_lost = true;
  const auto plan = plan_retention({}, input);
  EXPECT_EQ(plan.drop.size(), 10U);
  EXPECT_TRUE(plan.lost_slots.empty());
}

TEST(Retention, WhatLiesPastAForkIsTheOnlyCopyOfItForGood) {
  auto input = ten_segments();
  input.slots = {slot(11 * kSegment, 11 * kSegment)};
  input.store.timeline = pg::TimelineId(3);
  input.store.ancestors = {{pg::TimelineId(1), pg::Lsn(6 * kSegment + 100)},
                           {pg::TimelineId(2), pg::Lsn(10 * kSegment)}};
  input.segments.push_back({pg::TimelineId(2), pg::Lsn(9 * kSegment), 0});
  input.segments.push_back({pg::TimelineId(7), pg::Lsn(9 * kSegment), 0});  // of another history
  input.segments.push_back({pg::TimelineId(3), pg::Lsn(10 * kSegment), 0});
  const auto plan = plan_retention({}, input);
  ASSERT_EQ(plan.drop.size(), 7U);
  EXPECT_EQ(plan.drop[4].start, pg::Lsn(5 * kSegment)) << "the last one that is whole on timeline 1";
  EXPECT_EQ(plan.drop[5].timeline, pg::TimelineId(2));
  EXPECT_EQ(plan.drop[6].timeline, pg::TimelineId(3));
  EXPECT_EQ(plan.unproven_bytes, 0U);
}

}  // namespace
}  // namespace standfast::wal
