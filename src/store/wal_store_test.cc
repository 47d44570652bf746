// What the random test (wal_store_random_test.cc) does not come to.
#include "store/wal_store.h"

#include <gtest/gtest.h>

#include "env/simulated_disk.h"
#include "wal/wal_builder.h"

namespace standfast::store {
namespace {

constexpr std::uint64_t kSegmentBytes = 1U << 20U;
const std::string kFolder = "/wal";

class WalStoreTest : public ::testing::Test {
 protected:
  WalStoreTest() {
    EXPECT_TRUE(disk_.make_directory(kFolder, 0700));
    EXPECT_TRUE(disk_.sync_directory("/"));
    while (builder_.end() < builder_.start() + 2 * kSegmentBytes)
      builder_.append({.data = std::string(900, 'x')});
    store_ = std::move(*WalStore::open(disk_, {.folder = kFolder, .segment_bytes = kSegmentBytes}));
    EXPECT_TRUE(store_->begin({.timeline = pg::TimelineId(1), .start = builder_.start()}));
  }

  base::Bytes sent(std::uint64_t from, std::uint64_t to) const {
    return base::as_bytes(builder_.bytes()).subspan(from, to - from);
  }
  std::vector<std::string> names() { return *disk_.list(kFolder); }

  env::testing::SimulatedDisk disk_;
  wal::testing::WalBuilder builder_{{.segment_bytes = kSegmentBytes}};
  std::unique_ptr<WalStore> store_;
};

TEST_F(WalStoreTest, NothingIsOnTheDiskBeforeAFlush) {
  ASSERT_TRUE(store_->append(builder_.start(), sent(0, kSegmentBytes)));
  EXPECT_TRUE(names().empty());
  EXPECT_EQ(store_->positions().written, builder_.start() + kSegmentBytes);
  EXPECT_EQ(store_->positions().durable, builder_.start());
  ASSERT_TRUE(store_->flush());
  EXPECT_EQ(names(), std::vector<std::string>{"000000010000000000000010"});
  EXPECT_EQ(store_->positions().durable, builder_.start() + kSegmentBytes);
}

TEST_F(WalStoreTest, OfDamagedWalWhatIsWholeBeforeItCountsAndTheNextStreamGoesOnThere) {
  std::string damaged(base::as_text(sent(0, 100'000)));
  damaged[90'000] = static_cast<char>(damaged[90'000] + 1);
  const auto appended = store_->append(builder_.start(), base::as_bytes(damaged));
  ASSERT_FALSE(appended);
  EXPECT_EQ(appended.error().code, base::ErrorCode::kDamaged);
  const auto positions = store_->flush();
  ASSERT_TRUE(positions);
  EXPECT_GT(positions->acknowledged, builder_.start() + 80'000);
  EXPECT_LE(positions->acknowledged, builder_.start() + 90'000);
  const auto tail = store_->tail();
  ASSERT_TRUE(tail);
  ASSERT_TRUE(store_->begin({.timeline = pg::TimelineId(1), .start = tail->resume_at}));
  const std::uint64_t from = tail->resume_at.bytes_since(builder_.start());
  ASSERT_TRUE(store_->append(tail->resume_at, sent(from, kSegmentBytes)));
  ASSERT_TRUE(store_->flush());
  EXPECT_EQ(names(), std::vector<std::string>{"000000010000000000000010"});
}

TEST_F(WalStoreTest, ASegmentThatBeginsDamagedDoesNotCountAsFull) {
  ASSERT_TRUE(store_->append(builder_.start(), sent(0, kSegmentBytes)));
  std::string damaged(base::as_text(sent(kSegmentBytes, kSegmentBytes + 8192)));
  damaged[0] = static_cast<char>(damaged[0] + 1);
  ASSERT_FALSE(store_->append(builder_.start() + kSegmentBytes, base::as_bytes(damaged)));
  ASSERT_TRUE(store_->flush());
  const std::vector<std::string> wanted = {"000000010000000000000010", "000000010000000000000011.partial"};
  EXPECT_EQ(names(), wanted);
}

/// A folder from which all went that proof_from() lets go still proves its end.
TEST_F(WalStoreTest, WhatProvesTheEndIsKnownWhileItGrows) {
  while (builder_.end() < builder_.start() + 8 * kSegmentBytes)
    builder_.append({.data = std::string(300'000 + builder_.end().value() % 900'000, 'y')});
  builder_.switch_segment();
  builder_.append({.data = std::string(200'000, 'z')});
  EXPECT_FALSE(store_->proof_from().is_valid());
  pg::Lsn at = builder_.start();
  pg::Lsn gone = at;
  while (at + 50'000 < builder_.end()) {
    const std::uint64_t count = std::min<std::uint64_t>(50'000, kSegmentBytes - at.value() % kSegmentBytes);
    ASSERT_TRUE(store_->append(
        at, sent(at.bytes_since(builder_.start()), (at + count).bytes_since(builder_.start()))));
    at = at + count;
    ASSERT_TRUE(store_->flush());
    while (gone + kSegmentBytes <= store_->proof_from()) {
      ASSERT_TRUE(disk_.remove_file(
          kFolder + "/" + segment_file_name({pg::TimelineId(1), gone, SegmentForm::kWhole}, kSegmentBytes)));
      gone = gone + kSegmentBytes;
    }
    const pg::Lsn acknowledged = store_->positions().acknowledged;
    const auto proven = prove_tail(disk_, store_->options());
    ASSERT_TRUE(proven && *proven);
    ASSERT_GE((*proven)->tail.proven_end, acknowledged) << at.to_string() << ", from " << gone.to_string();
  }
  EXPECT_GT(gone, builder_.start() + 4 * kSegmentBytes);
}

/// What lies behind the proven end is gone after a start, and is no spare.
TEST_F(WalStoreTest, APartialSegmentBehindTheEndDoesNotComeBackAsASpare) {
  ASSERT_TRUE(store_->append(builder_.start(), sent(0, 100'000)));
  ASSERT_TRUE(store_->flush());
  store_.reset();
  const std::string behind =
      kFolder + "/" +
      segment_file_name({pg::TimelineId(1), builder_.start() + kSegmentBytes, SegmentForm::kPartial},
                        kSegmentBytes);
  auto file = std::move(*disk_.create(behind, 0600, env::OnExisting::kFail));
  ASSERT_TRUE(file->write_at(0, sent(kSegmentBytes, 2 * kSegmentBytes)));
  file.reset();
  store_ = std::move(*WalStore::open(disk_, {.folder = kFolder, .segment_bytes = kSegmentBytes}));
  EXPECT_EQ(names(), std::vector<std::string>{"000000010000000000000010.partial"});
  EXPECT_EQ(store_->spares().count(), 0U);
}

TEST_F(WalStoreTest, ASpareForWhichThereIsNoRoomLeavesNothing) {
  disk_.set_available_bytes(kSegmentBytes / 2);
  EXPECT_FALSE(store_->spares().write_one());
  EXPECT_TRUE(names().empty());
}

}  // namespace
}  // namespace standfast::store
