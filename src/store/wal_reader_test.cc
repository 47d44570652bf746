#include "store/wal_reader.h"

#include <gtest/gtest.h>

#include "env/simulated_disk.h"
#include "store/test_support.h"

namespace standfast::store {
namespace {

using wal::serve::StoreView;
using Outcome = WalReader::Outcome;

constexpr std::uint64_t kSegmentBytes = 1U << 20U;
const pg::TimelineId k1(1), k2(2), k3(3);
// 1 was left within segment 3, 2 within the same one, and 3 goes on.
const StoreView kView{
    .timeline = k3,
    .durable_end = pg::Lsn(5 * kSegmentBytes),
    .ancestors = {{k1, pg::Lsn(3 * kSegmentBytes + 100)}, {k2, pg::Lsn(3 * kSegmentBytes + 200)}}};

class WalReaderTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(disk_.make_directory("/wal", 0700)); }
  void put(const std::string& name, char fill, std::size_t size = kSegmentBytes) {
    ASSERT_TRUE(env::write_file_durably(disk_, "/wal/" + name, std::string(size, fill), {}));
  }
  base::Result<Outcome> read(pg::TimelineId timeline, std::uint64_t at, std::size_t count) {
    bytes_.assign(count, std::byte{0});
    return reader_.read(kView, timeline, pg::Lsn(at), bytes_);
  }
  std::string text() const { return std::string(base::as_text(bytes_)); }

  env::testing::SimulatedDisk disk_;
  WalReader reader_{disk_, "/wal", kSegmentBytes};
  std::vector<std::byte> bytes_;
};

TEST_F(WalReaderTest, ASegmentWithAForkMayBeThereUnderTheNextTimelinesName) {
  using Names = std::vector<pg::TimelineId>;
  const auto names = [](pg::TimelineId timeline, std::uint64_t segment) {
    return names_of_segment(kView, timeline, pg::Lsn(segment * kSegmentBytes), kSegmentBytes);
  };
  EXPECT_EQ(names(k1, 2), Names{k1});
  EXPECT_EQ(names(k1, 3), (Names{k3, k2, k1}));
  EXPECT_EQ(names(k2, 3), (Names{k3, k2}));
  EXPECT_EQ(names(k3, 3), Names{k3});
  EXPECT_EQ(names(pg::TimelineId(9), 3), Names{pg::TimelineId(9)});

  put("000000010000000000000003.partial", '1');
  ASSERT_EQ(*read(k1, 3 * kSegmentBytes, 100), Outcome::kRead);
  EXPECT_EQ(text(), std::string(100, '1'));
  put("000000030000000000000003", '3');
  ASSERT_EQ(*read(k2, 3 * kSegmentBytes, 100), Outcome::kRead);
  EXPECT_EQ(text(), std::string(100, '3'));
}

TEST_F(WalReaderTest, WhatIsNotThereIsGone) {
  EXPECT_EQ(*read(k3, 4 * kSegmentBytes, 8), Outcome::kGone);
  put("000000030000000000000004", 'a');
  EXPECT_EQ(*read(k3, 4 * kSegmentBytes, 8), Outcome::kRead);
}

TEST_F(WalReaderTest, AFileThatIsShortIsDamaged) {
  put("000000030000000000000004", 'a', 1000);
  EXPECT_EQ(*read(k3, 4 * kSegmentBytes + 992, 8), Outcome::kRead);
  const auto refused = read(k3, 4 * kSegmentBytes + 992, 16);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::ErrorCode::kDamaged);
}

TEST_F(WalReaderTest, AfterAnErrorItBeginsAnew) {
  const std::string name = "000000030000000000000004.zst";
  const std::string good = testing::packed(std::string(kSegmentBytes, 'a'), SegmentForm::kZstd);
  std::string damaged = good;
  damaged[damaged.size() - 2] = static_cast<char>(damaged[damaged.size() - 2] ^ 1);
  ASSERT_TRUE(env::write_file_durably(disk_, "/wal/" + name, damaged, {}));
  ASSERT_EQ(*read(k3, 4 * kSegmentBytes, 8), Outcome::kRead);
  ASSERT_FALSE(read(k3, 5 * kSegmentBytes - 8, 8));
  ASSERT_TRUE(env::write_file_durably(disk_, "/wal/" + name, good, {}));
  const auto again = read(k3, 5 * kSegmentBytes - 8, 8);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(text(), "aaaaaaaa");
}

TEST_F(WalReaderTest, ReadsOnWhereItIsAndBackAndAcrossSegments) {
  put("000000030000000000000003", 'a');
  put("000000030000000000000004.partial", 'b');
  ASSERT_EQ(*read(k3, 4 * kSegmentBytes - 8, 8), Outcome::kRead);
  ASSERT_EQ(*read(k3, 4 * kSegmentBytes, 8), Outcome::kRead);
  EXPECT_EQ(text(), "bbbbbbbb");
  ASSERT_EQ(*read(k3, 4 * kSegmentBytes + 4000, 8), Outcome::kRead);
  ASSERT_EQ(*read(k3, 3 * kSegmentBytes, 8), Outcome::kRead);
  EXPECT_EQ(text(), "aaaaaaaa");
}

TEST_F(WalReaderTest, ASegmentThatGetsItsFinalNameIsReadOn) {
  put("000000030000000000000004.partial", 'b');
  ASSERT_EQ(*read(k3, 4 * kSegmentBytes, 8), Outcome::kRead);
  ASSERT_TRUE(
      disk_.rename_no_replace("/wal/000000030000000000000004.partial", "/wal/000000030000000000000004"));
  ASSERT_EQ(*read(k3, 4 * kSegmentBytes + 8, 8), Outcome::kRead);
  EXPECT_EQ(text(), "bbbbbbbb");
  ASSERT_EQ(*read(k3, 4 * kSegmentBytes, 8), Outcome::kRead);  // opened again
}

}  // namespace
}  // namespace standfast::store
