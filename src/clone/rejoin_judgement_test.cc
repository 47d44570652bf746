#include "clone/rejoin_judgement.h"

#include <string>

#include <gtest/gtest.h>

namespace standfast::clone {
namespace {

WalLine line(std::uint32_t timeline, const std::string& history, std::uint64_t end) {
  return {*pg::TimelineHistory::parse(pg::TimelineId(timeline), history), pg::Lsn(end)};
}

struct Expected {
  Standing standing;
  std::uint32_t timeline;
  std::uint64_t fork;
};
void expect(const WalLine& old, const WalLine& source, const Expected& expected) {
  const auto judged = judge_lines(old, source);
  ASSERT_TRUE(judged) << judged.error().message;
  EXPECT_EQ(judged->standing, expected.standing);
  EXPECT_EQ(judged->fork_timeline, pg::TimelineId(expected.timeline));
  EXPECT_EQ(judged->fork, pg::Lsn(expected.fork));
}

TEST(RejoinJudgement, TheSameTimeline) {
  expect(line(1, "", 0x100), line(1, "", 0x200), {Standing::kBehind, 1, 0x100});
  expect(line(1, "", 0x200), line(1, "", 0x200), {Standing::kBehind, 1, 0x200});
  expect(line(1, "", 0x201), line(1, "", 0x200), {Standing::kSourceBehind, 1, 0x200});
  const std::string both = "1\t0/150\tx\n";
  expect(line(2, both, 0x300), line(2, both, 0x200), {Standing::kSourceBehind, 2, 0x200});
}

TEST(RejoinJudgement, TheSourceWasPromoted) {
  const WalLine source = line(3, "1\t0/100\tx\n2\t0/180\tx\n", 0x500);
  expect(line(1, "", 0xF0), source, {Standing::kBehind, 1, 0xF0});
  expect(line(1, "", 0x100), source, {Standing::kBehind, 1, 0x100});
  expect(line(1, "", 0x108), source, {Standing::kDiverged, 1, 0x100});
  expect(line(1, "", 0x900), source, {Standing::kDiverged, 1, 0x100});
  expect(line(2, "1\t0/100\tx\n", 0x180), source, {Standing::kBehind, 2, 0x180});
  expect(line(2, "1\t0/100\tx\n", 0x188), source, {Standing::kDiverged, 2, 0x180});
}

TEST(RejoinJudgement, TheOldOneWasPromoted) {
  const WalLine old = line(2, "1\t0/100\tx\n", 0x300);
  expect(old, line(1, "", 0xF0), {Standing::kSourceBehind, 1, 0xF0});
  expect(old, line(1, "", 0x100), {Standing::kSourceBehind, 1, 0x100});
  expect(old, line(1, "", 0x108), {Standing::kDiverged, 1, 0x100});
}

TEST(RejoinJudgement, BothWerePromoted) {
  expect(line(2, "1\t0/100\tx\n", 0x300), line(3, "1\t0/180\tx\n", 0x300), {Standing::kDiverged, 1, 0x100});
  expect(line(3, "1\t0/180\tx\n", 0x300), line(2, "1\t0/100\tx\n", 0x300), {Standing::kDiverged, 1, 0x100});
  // To the same number, at another position.
  expect(line(2, "1\t0/100\tx\n", 0x300), line(2, "1\t0/180\tx\n", 0x900), {Standing::kDiverged, 1, 0x100});
}

TEST(RejoinJudgement, NothingInCommon) {
  const auto judged = judge_lines(line(5, "", 0x300), line(6, "", 0x300));
  ASSERT_FALSE(judged);
  EXPECT_EQ(judged.error().code, base::ErrorCode::kPrecondition);
}

TEST(Kinship, OnlyAPrimarysDirectoryOnThePrimarysOwnLineMayBeItsOwn) {
  KinshipSigns signs{.is_on_sources_line = true, .is_running = true, .source_is_on_this_host = true};
  EXPECT_EQ(kinship_of(signs), Kinship::kSource);
  for (bool KinshipSigns::*sign : {&KinshipSigns::is_standbys, &KinshipSigns::source_is_standby}) {
    signs.*sign = true;
    EXPECT_EQ(kinship_of(signs), Kinship::kFollower);
    signs.*sign = false;
  }
  signs.is_on_sources_line = false;
  EXPECT_EQ(kinship_of(signs), Kinship::kFollower);
}

TEST(Kinship, WithTheSourceElsewhereAStoppedOneIsAnothers) {
  KinshipSigns signs{.is_on_sources_line = true, .source_is_on_this_host = true};
  EXPECT_EQ(kinship_of(signs), Kinship::kSource);
  signs.source_is_on_this_host = false;
  EXPECT_EQ(kinship_of(signs), Kinship::kMayTwin);
  signs.was_never_started = true;
  EXPECT_EQ(kinship_of(signs), Kinship::kFollower);
}

TEST(Kinship, ARunningOneMayBeTheSourceWhateverItsAddressSays) {
  EXPECT_EQ(kinship_of({.is_on_sources_line = true, .is_running = true}), Kinship::kMaySource);
}

}  // namespace
}  // namespace standfast::clone
