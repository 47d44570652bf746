#include "pg/format/wal_file.h"

#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

constexpr std::uint64_t kSixteenMib = 16U << 20U;

TEST(WalFile, NamesFollowTheSegmentSize) {
  EXPECT_EQ(wal_segment_name(TimelineId(1), Lsn(0x16'B374'D848), kSixteenMib), "0000000100000016000000B3");
  EXPECT_EQ(wal_segment_name(TimelineId(0xA), Lsn(0x1'0000'0000), 1U << 20U), "0000000A0000000100000000");
  EXPECT_EQ(wal_segment_name(TimelineId(1), Lsn(0x1'C000'0000), 1U << 30U), "000000010000000100000003");
  EXPECT_EQ(timeline_history_name(TimelineId(2)), "00000002.history");
}

TEST(WalFile, ANameReadsBackAsItsSegment) {
  for (const std::uint64_t segment_bytes : {std::uint64_t{1} << 20U, kSixteenMib, std::uint64_t{1} << 30U}) {
    for (const std::uint64_t position :
         {std::uint64_t{0}, std::uint64_t{0xFFFF'FFFF}, std::uint64_t{0x12'3456'789A}}) {
      const auto id = parse_wal_segment_name(wal_segment_name(TimelineId(7), Lsn(position), segment_bytes),
                                             segment_bytes);
      ASSERT_TRUE(id);
      EXPECT_EQ(id->timeline, TimelineId(7));
      EXPECT_EQ(id->start, Lsn(position).segment_start(segment_bytes));
    }
  }
}

TEST(WalFile, OtherNamesAreNoSegments) {
  for (const char* name :
       {"", "0000000100000016000000b3", "00000000000000160000000B", "000000010000001600000100",
        "0000000100000016000000B3.partial", "00000002.history", "00000001000000160000000G"}) {
    EXPECT_FALSE(parse_wal_segment_name(name, kSixteenMib)) << name;
  }
}

TEST(WalFile, ShownSizesHaveUnits) {
  EXPECT_EQ(parse_shown_bytes("16MB"), kSixteenMib);
  EXPECT_EQ(parse_shown_bytes("1GB"), 1U << 30U);
  EXPECT_EQ(parse_shown_bytes("64kB"), 65536U);
  EXPECT_EQ(parse_shown_bytes("512"), 512U);
  EXPECT_FALSE(parse_shown_bytes("16 parsecs"));
  EXPECT_FALSE(parse_shown_bytes("99999999999999TB"));
  EXPECT_FALSE(parse_shown_bytes("MB"));
}

TEST(WalFile, SegmentSizesArePowersOfTwoInBounds) {
  EXPECT_TRUE(is_valid_wal_segment_size(kSixteenMib));
  EXPECT_FALSE(is_valid_wal_segment_size(kSixteenMib + 1));
  EXPECT_FALSE(is_valid_wal_segment_size(512U << 10U));
  EXPECT_FALSE(is_valid_wal_segment_size(std::uint64_t{1} << 31U));
}

}  // namespace
}  // namespace standfast::pg
