#include "wal/receive_plan.h"

#include <gtest/gtest.h>

namespace standfast::wal {
namespace {

constexpr std::uint64_t kSegment = 1U << 24U;

ServerWal server(std::uint32_t timeline, std::uint64_t flushed, std::string_view history = "") {
  return {pg::TimelineId(timeline), pg::Lsn(flushed),
          *pg::TimelineHistory::parse(pg::TimelineId(timeline), history), kSegment};
}

ReceiveStart start(std::uint32_t timeline, std::uint64_t at, std::uint64_t fork) {
  return {pg::TimelineId(timeline), pg::Lsn(at), pg::Lsn(fork), std::nullopt};
}

Overlap overlap(std::uint32_t timeline, std::uint64_t from, std::uint64_t to) {
  return {pg::TimelineId(timeline), pg::Lsn(from), pg::Lsn(to)};
}

/// Without what is to be compared.
ReceiveStart start_of(base::Result<ReceiveStart> plan) {
  ReceiveStart found = std::move(plan).value();
  found.overlap.reset();
  return found;
}

HeldWal held(std::uint32_t timeline, std::uint64_t resume_at, std::uint64_t acknowledged) {
  return {pg::TimelineId(timeline), pg::Lsn(resume_at), pg::Lsn(acknowledged)};
}

TEST(ReceivePlan, AnEmptyFolderBeginsWithTheSlotsSegmentOrTheServers) {
  EXPECT_EQ(*plan_receive(server(1, 0x5000123), std::nullopt, {}), start(1, 0x5000000, 0));
  EXPECT_EQ(*plan_receive(server(1, 0x5000123), std::nullopt, {.slot = SlotPosition{pg::Lsn(0x3000123)}}),
            start(1, 0x3000000, 0));
  EXPECT_EQ(*plan_receive(server(2, 0x5000123, "1\t0/4000100\n"), std::nullopt,
                          {.slot = SlotPosition{pg::Lsn(0x3000123), pg::TimelineId(1)}}),
            start(1, 0x3000000, 0));
  EXPECT_EQ(
      *plan_receive(server(2, 0x5000123, "1\t0/5000100\n"), std::nullopt, {.slot = SlotPosition{pg::Lsn()}}),
      start(2, 0x5000000, 0x5000100));
}

TEST(ReceivePlan, TheSameTimelineGoesOnWhereItsProofEnds) {
  EXPECT_EQ(start_of(plan_receive(server(1, 0x5000123), held(1, 0x5000100, 0x5000100), {})),
            start(1, 0x5000100, 0));
}

TEST(ReceivePlan, AServerBehindWhatWasAcknowledgedIsRefused) {
  const auto plan = plan_receive(server(1, 0x4000000), held(1, 0x5000100, 0x5000100), {});
  ASSERT_FALSE(plan);
  EXPECT_NE(plan.error().message.find("0/4000000"), std::string::npos);
  EXPECT_NE(plan.error().message.find("0/5000100"), std::string::npos);
}

TEST(ReceivePlan, TheOldTimelineIsReceivedToItsEndFirst) {
  const auto newer = server(2, 0x6000000, "1\t0/5000200\n");
  EXPECT_EQ(start_of(plan_receive(newer, held(1, 0x5000100, 0x5000100), {})), start(1, 0x5000100, 0));
  EXPECT_EQ(start_of(plan_receive(newer, held(1, 0x5000200, 0x5000200), {})), start(2, 0x5000000, 0x5000200));
}

TEST(ReceivePlan, ATimelineThatEndsWithinARecordIsNotReceivedForEver) {
  const auto newer = server(2, 0x6000000, "1\t0/5002000\n");
  HeldWal mine = held(1, 0x5001f00, 0x5001f00);
  EXPECT_EQ(start_of(plan_receive(newer, mine, {})), start(1, 0x5001f00, 0));
  mine.received = pg::Lsn(0x5002000);
  EXPECT_EQ(start_of(plan_receive(newer, mine, {})), start(2, 0x5000000, 0x5002000));
}

TEST(ReceivePlan, AForkBelowWhatWasAcknowledgedNamesTheRange) {
  const auto newer = server(3, 0x6000000, "1\t0/5000200\n2\t0/5800000\n");
  const auto plan = plan_receive(newer, held(1, 0x5000300, 0x5000300), {});
  ASSERT_FALSE(plan);
  EXPECT_NE(plan.error().message.find("from 0/5000200 to 0/5000300"), std::string::npos);
  EXPECT_NE(plan.error().message.find("timeline 2 begins"), std::string::npos);
  EXPECT_FALSE(plan_receive(newer, held(1, 0x5000300, 0x5000300), {.accept_fork = pg::Lsn(0x5000100)}));
  EXPECT_EQ(start_of(plan_receive(newer, held(1, 0x5000300, 0x5000300), {.accept_fork = pg::Lsn(0x5000200)})),
            start(2, 0x5000000, 0x5000200));
}

TEST(ReceivePlan, AStrangersTimelineIsRefused) {
  EXPECT_FALSE(plan_receive(server(3, 0x6000000, "1\t0/5000200\n"), held(2, 0x5000300, 0x5000300), {}));
  EXPECT_FALSE(plan_receive(server(1, 0x6000000), held(2, 0x5000300, 0x5000300), {}));
}

TEST(ReceivePlan, TheLastMegabyteThatIsHeldIsCompared) {
  EXPECT_FALSE(plan_receive(server(1, 0x5000123), std::nullopt, {})->overlap);
  const auto overlap_with = [](const ServerWal& server_wal, const HeldWal& mine) {
    return *plan_receive(server_wal, mine, {})->overlap;
  };
  EXPECT_EQ(overlap_with(server(1, 0x5900000), held(1, 0x5801100, 0x5801100)),
            overlap(1, 0x5700000, 0x5801100));
  EXPECT_EQ(overlap_with(server(1, 0x5900000), held(1, 0x5000100, 0x5000100)),
            overlap(1, 0x4f00000, 0x5000100));
  // What came and was not acknowledged need not be there.
  EXPECT_EQ(overlap_with(server(1, 0x5801100), held(1, 0x5801200, 0x5801100)),
            overlap(1, 0x5700000, 0x5801100));
}

TEST(ReceivePlan, ATimelineIsComparedFromTheSegmentOfItsBeginning) {
  const auto newer = server(2, 0x6000000, "1\t0/5000200\n");
  EXPECT_EQ(plan_receive(newer, held(2, 0x5001100, 0x5001100), {})->overlap,
            overlap(2, 0x5000000, 0x5001100));
  // An older one up to its end, also where what was acknowledged behind it is given up.
  EXPECT_EQ(plan_receive(newer, held(1, 0x5000200, 0x5000200), {})->overlap,
            overlap(1, 0x4f00000, 0x5000200));
  EXPECT_EQ(plan_receive(newer, held(1, 0x5000300, 0x5000300), {.accept_fork = pg::Lsn(0x5000200)})->overlap,
            overlap(1, 0x4f00000, 0x5000200));
}

TEST(ReceivePlan, ATimelineOfTheSameNumberWithAnotherForkIsRefused) {
  const auto history = [](std::uint32_t timeline, std::string_view text) {
    return pg::TimelineHistory::parse(pg::TimelineId(timeline), text);
  };
  HeldWal mine = held(2, 0x5900000, 0x5900000);
  mine.history = history(2, "1\t0/5000200\tno recovery target specified\n");
  EXPECT_TRUE(plan_receive(server(2, 0x6000000, "1\t0/5000200\tanother reason\n"), mine, {}));
  EXPECT_TRUE(plan_receive(server(3, 0x6000000, "1\t0/5000200\n2\t0/5a00000\n"), mine, {}));
  for (const auto& other : {server(2, 0x6000000, "1\t0/5000300\n"), server(2, 0x6000000),
                            server(3, 0x6000000, "1\t0/5000300\n2\t0/5a00000\n")}) {
    const auto plan = plan_receive(other, mine, {});
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().code, base::ErrorCode::kPrecondition);
    EXPECT_NE(plan.error().message.find("timeline 1 at 0/5000200"), std::string::npos)
        << plan.error().message;
  }
}

}  // namespace
}  // namespace standfast::wal
