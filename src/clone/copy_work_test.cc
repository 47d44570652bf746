#include "clone/copy_work.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "clone/rate_limit.h"

namespace standfast::clone {
namespace {

PlannedFile file_of(std::uint64_t size) {
  PlannedFile file;
  file.size_bytes = size;
  return file;
}

constexpr WorkRules kRules{.stretch_bytes = 100, .small_unit_bytes = 50, .max_pieces = 3};

TEST(CopyWork, TheLongestComesFirstInStretches) {
  const std::vector<PlannedFile> files = {file_of(80), file_of(230)};
  const std::vector<WorkUnit> expected = {{{1, 0, 100}}, {{1, 100, 100}}, {{0, 0, 80}}, {{1, 200, 30}}};
  auto units = plan_units(files, 7, kRules);
  EXPECT_EQ(units.size(), expected.size());
  EXPECT_EQ(units.front(), expected.front());
  for (const WorkUnit& unit : expected)
    EXPECT_NE(std::find(units.begin(), units.end(), unit), units.end()) << unit.front().offset;
  EXPECT_EQ(pieces_of(files[1], kRules), 3U);
}

TEST(CopyWork, SmallOnesGoTogetherWithinBounds) {
  const std::vector<PlannedFile> files = {file_of(30), file_of(30), file_of(10), file_of(0),
                                          file_of(0),  file_of(0),  file_of(5)};
  const auto units = plan_units(files, 6, kRules);
  std::size_t pieces = 0;
  for (const WorkUnit& unit : units) {
    std::uint64_t bytes = 0;
    for (const Piece& piece : unit) bytes += piece.length_bytes;
    EXPECT_LE(unit.size(), kRules.max_pieces);
    EXPECT_LE(bytes, kRules.small_unit_bytes);
    pieces += unit.size();
  }
  EXPECT_EQ(pieces, 6U);
  EXPECT_LE(units.size(), 4U);
}

TEST(CopyWork, WhatIsWholeIsOnePiece) {
  std::vector<PlannedFile> files = {file_of(512)};
  files.front().is_whole = true;
  const std::vector<WorkUnit> expected = {{{0, 0, 512}}};
  EXPECT_EQ(plan_units(files, 7, kRules), expected);
  EXPECT_EQ(pieces_of(files.front(), kRules), 1U);
}

TEST(DefaultStreams, AreOfTheCoresAndOfTheLink) {
  using std::chrono::microseconds;
  EXPECT_EQ(default_streams(0, std::nullopt), 2U);
  EXPECT_EQ(default_streams(2, std::nullopt), 4U);
  EXPECT_EQ(default_streams(64, microseconds(100)), 8U);
  EXPECT_EQ(default_streams(2, microseconds(1000)), 4U);
  EXPECT_EQ(default_streams(2, microseconds(20'000)), 6U);
  EXPECT_EQ(default_streams(2, microseconds(50'000)), 15U);
  EXPECT_EQ(default_streams(2, microseconds(4'000'000)), 16U);
  EXPECT_EQ(default_streams(2, microseconds(-1)), 4U);
}

TEST(RateLimit, AllStreamsTogetherHaveIt) {
  RateLimit limit(1000);
  const auto now = base::Clock::now();
  EXPECT_EQ(limit.book(500, now), now);
  EXPECT_EQ(limit.book(1000, now), now + base::Milliseconds(500));
  EXPECT_EQ(limit.book(1, now), now + base::Milliseconds(1500));
  // Time in which nothing was asked for is not made up for.
  const auto later = now + base::Seconds(100);
  EXPECT_EQ(limit.book(1000, later), later);
  EXPECT_EQ(limit.book(1000, later), later + base::Seconds(1));
}

TEST(RateLimit, WithoutOneNothingWaitsAndAStopEndsAWait) {
  const auto now = base::Clock::now();
  RateLimit none(std::nullopt);
  EXPECT_EQ(none.book(std::uint64_t{1} << 40U, now), now);
  EXPECT_EQ(none.book(1, now), now);

  env::StopEvent stop;
  stop.set();
  RateLimit slow(1);
  EXPECT_TRUE(slow.take(1000, stop));
  const auto cancelled = slow.take(1, stop);
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, base::ErrorCode::kCancelled);
}

}  // namespace
}  // namespace standfast::clone
