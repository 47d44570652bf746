#include "witness/keeper.h"

#include <algorithm>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "env/simulated_disk.h"
#include "wal/wal_builder.h"

namespace standfast::witness {
namespace {

using store::SegmentEntry;
using store::SegmentForm;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t kSegment = std::uint64_t{1} << 20U;
constexpr base::Seconds kPatience(60);

store::WalFolder folder_of(const std::vector<std::pair<std::uint64_t, SegmentForm>>& segments) {
  store::WalFolder folder;
  for (const auto& [number, form] : segments)
    folder.segments.push_back({pg::TimelineId(1), pg::Lsn(number * kSegment), form});
  return folder;
}

std::vector<std::uint64_t> packable(const store::WalFolder& folder, pg::Lsn acknowledged) {
  std::vector<std::uint64_t> numbers;
  for (const SegmentEntry& entry : segments_to_pack(folder, acknowledged, kSegment))
    numbers.push_back(entry.start.value() / kSegment);
  return numbers;
}

TEST(SegmentsToPack, AreAStepBehindTheStream) {
  const auto folder = folder_of({{3, SegmentForm::kLz4},
                                 {4, SegmentForm::kWhole},
                                 {5, SegmentForm::kWhole},
                                 {6, SegmentForm::kWhole},
                                 {7, SegmentForm::kWhole},
                                 {8, SegmentForm::kPartial}});
  EXPECT_THAT(packable(folder, pg::Lsn(8 * kSegment + 100)), ElementsAre(4, 5, 6));
  EXPECT_THAT(packable(folder, pg::Lsn(8 * kSegment)), ElementsAre(4, 5, 6));
  // A record that began in segment 5 goes on and on: what it needs stays.
  EXPECT_THAT(packable(folder, pg::Lsn(6 * kSegment - 100)), IsEmpty());
  EXPECT_THAT(packable(folder, pg::Lsn(6 * kSegment + 100)), ElementsAre(4));
  EXPECT_THAT(packable(folder, pg::Lsn()), IsEmpty());
}

bool wait_until(const std::function<bool()>& condition) {
  const auto deadline = base::Deadline::after(kPatience);
  while (!condition()) {
    if (deadline.passed()) return false;
    static_cast<void>(env::wait_for(-1, 0, env::Wait::for_at_most(base::Milliseconds(20))));
  }
  return true;
}

class KeeperTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(files_.make_directory("/wal", 0700));
    store_ = *store::WalStore::open(files_, {.folder = "/wal", .segment_bytes = kSegment});
    wal::testing::WalBuilder wal({.segment_bytes = kSegment});
    for (int i = 0; i < 45; ++i) wal.append({.data = std::string(100'000, 'w')});
    ASSERT_TRUE(store_->begin({.timeline = pg::TimelineId(1), .start = wal.start()}));
    for (pg::Lsn at = wal.start(); at < wal.end(); at = at + kSegment) {
      const auto offset = static_cast<std::size_t>(at.bytes_since(wal.start()));
      ASSERT_TRUE(store_->append(at, base::as_bytes(std::string_view(wal.bytes()).substr(offset, kSegment))));
      ASSERT_TRUE(store_->flush());
    }
  }
  std::size_t count(std::string_view ending) {
    const auto names = *files_.list("/wal");
    return static_cast<std::size_t>(std::count_if(
        names.begin(), names.end(), [&](const std::string& name) { return name.ends_with(ending); }));
  }

  env::testing::SimulatedDisk files_;
  std::unique_ptr<store::WalStore> store_;
};

TEST_F(KeeperTest, PacksWhatIsFinishedAndWritesSpares) {
  const pg::Lsn acknowledged = store_->positions().acknowledged;
  Keeper keeper(files_, *store_,
                {.spare_segments = 2, .packing = store::Packing{.form = SegmentForm::kZstd}});
  EXPECT_TRUE(wait_until([&] { return count(".zst") == 3 && store_->spares().count() == 2; }));
  EXPECT_FALSE(keeper.take_failure());
  EXPECT_EQ(count("000000010000000000000013"), 1U) << "the last whole one stays";
  const auto again = store::WalStore::open(files_, {.folder = "/wal", .segment_bytes = kSegment});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ((*again)->positions().acknowledged, acknowledged);
}

TEST_F(KeeperTest, TellsWhatFailedAndLeavesTheRest) {
  files_.fail_data_sync(1);
  Keeper keeper(files_, *store_, {.spare_segments = 0, .packing = store::Packing{}});
  std::optional<base::Error> failure;
  EXPECT_TRUE(wait_until([&] { return (failure = keeper.take_failure()).has_value(); }));
  EXPECT_EQ(failure->code, base::ErrorCode::kIo);
  EXPECT_EQ(count(".lz4"), 0U);
  EXPECT_FALSE(keeper.take_failure());
}

TEST_F(KeeperTest, PacksNothingUnasked) {
  Keeper keeper(files_, *store_, {.spare_segments = 1});
  EXPECT_TRUE(wait_until([&] { return store_->spares().count() == 1; }));
  EXPECT_EQ(count(".lz4") + count(".zst"), 0U);
}

}  // namespace
}  // namespace standfast::witness
