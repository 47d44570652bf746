#include "clone/wal_stream.h"

#include <gtest/gtest.h>

namespace standfast::clone {
namespace {

constexpr std::uint64_t kSegment = std::uint64_t{16} << 20U;

pg::Lsn in_segment(std::uint64_t number, std::uint64_t offset) {
  return pg::Lsn(number * kSegment + offset);
}

TEST(HandOver, BeginsWithTheSegmentOfTheStop) {
  EXPECT_EQ(hand_over_position(in_segment(5, 100), in_segment(5, 100), kSegment), in_segment(5, 0));
  EXPECT_EQ(hand_over_position(in_segment(6, 0), in_segment(5, 9000), kSegment), in_segment(5, 0));
}

TEST(HandOver, WhatTheSourceHasLetGoIsNotAskedFor) {
  EXPECT_EQ(hand_over_position(in_segment(5, 100), in_segment(6, 1), kSegment), in_segment(6, 0));
  EXPECT_EQ(hand_over_position(in_segment(5, 100), in_segment(6, 0), kSegment), in_segment(6, 0));
  EXPECT_EQ(hand_over_position(in_segment(5, 100), in_segment(9, 8192), kSegment), in_segment(9, 0));
}

TEST(HandOver, WhereNothingWasAcknowledgedTheStopCounts) {
  EXPECT_EQ(hand_over_position(in_segment(5, 100), in_segment(2, 0), kSegment), in_segment(5, 0));
}

}  // namespace
}  // namespace standfast::clone
