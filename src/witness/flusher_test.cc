#include "witness/flusher.h"

#include <gtest/gtest.h>
#include <poll.h>

#include "env/simulated_disk.h"
#include "wal/wal_builder.h"

namespace standfast::witness {
namespace {

constexpr std::uint64_t kSegmentBytes = 1U << 20U;
constexpr int kPatienceMs = 60'000;

env::Wait soon() {
  return env::Wait::for_at_most(base::Milliseconds(kPatienceMs));
}

class FlusherTest : public ::testing::Test {
 protected:
  FlusherTest() {
    EXPECT_TRUE(disk_.make_directory("/wal", 0700));
    while (builder_.end() < builder_.start() + 3 * kSegmentBytes)
      builder_.append({.data = std::string(900, 'x')});
    store_ = std::move(*store::WalStore::open(disk_, {.folder = "/wal", .segment_bytes = kSegmentBytes}));
    EXPECT_TRUE(store_->begin({.timeline = pg::TimelineId(1), .start = builder_.start()}));
    // Time alone flushes nothing: on a busy machine any delay may pass between two lines of a test.
    make_flusher(base::Seconds(3600));
  }

  void make_flusher(base::Milliseconds max_delay) {
    flusher_.emplace(
        *store_, Flusher::Options{
                     .max_unflushed_bytes = kSegmentBytes, .max_delay = max_delay, .little_bytes = 10'000});
  }
  void write(std::uint64_t bytes) {
    const auto there = base::as_bytes(builder_.bytes()).subspan(written_, bytes);
    ASSERT_TRUE(store_->append(builder_.start() + written_, there));
    written_ += bytes;
    flusher_->wrote(bytes);
  }
  bool tells(int milliseconds) const {
    pollfd fd{flusher_->fd(), POLLIN, 0};
    return poll(&fd, 1, milliseconds) == 1;
  }
  pg::Lsn end() const { return builder_.start() + written_; }

  env::testing::SimulatedDisk disk_;
  wal::testing::WalBuilder builder_{{.segment_bytes = kSegmentBytes}};
  std::unique_ptr<store::WalStore> store_;
  std::optional<Flusher> flusher_;
  std::uint64_t written_ = 0;
};

TEST_F(FlusherTest, ALittleIsFlushedWhenTheCallReturnsAndWakesNobody) {
  write(9'000);
  EXPECT_LT(flusher_->due_at(), base::Clock::time_point::max());
  flusher_->flush_now();
  const auto news = flusher_->take_news();
  ASSERT_TRUE(news && *news);
  EXPECT_EQ((*news)->durable, end());
  EXPECT_FALSE(tells(0));
  EXPECT_EQ(flusher_->due_at(), base::Clock::time_point::max());
}

TEST_F(FlusherTest, MuchIsFlushedByTheOtherThreadWhichTells) {
  write(20'000);
  flusher_->flush_now();
  ASSERT_TRUE(tells(kPatienceMs));
  const auto news = flusher_->take_news();
  ASSERT_TRUE(news && *news);
  EXPECT_EQ((*news)->durable, end());
  EXPECT_FALSE(tells(0)) << "it was told";
}

TEST_F(FlusherTest, WhatHasWaitedLongEnoughIsFlushedAtAReminder) {
  make_flusher(base::Milliseconds(50));
  write(1'000);
  const auto until = soon().deadline;
  while (!tells(1)) {
    ASSERT_FALSE(until.passed());
    flusher_->remind();
  }
  EXPECT_EQ((**flusher_->take_news()).durable, end());
}

TEST_F(FlusherTest, ManyBytesAreFlushedUnasked) {
  write(kSegmentBytes);
  ASSERT_TRUE(tells(kPatienceMs));
  ASSERT_TRUE(flusher_->wait_for_room(soon()));
  EXPECT_EQ((**flusher_->take_news()).durable, end());
}

TEST_F(FlusherTest, AfterAFailureEveryCallSaysSo) {
  disk_.fail_data_sync(1);
  write(1'000);
  flusher_->flush_now();
  EXPECT_FALSE(flusher_->take_news());
  EXPECT_FALSE(flusher_->wait_for_room(soon()));
  EXPECT_FALSE(flusher_->flush_all(soon()));
  flusher_->flush_now();
  EXPECT_EQ(store_->positions().durable, builder_.start());
}

TEST_F(FlusherTest, AFailureOfTheOtherThreadIsToldToo) {
  disk_.fail_data_sync(1);
  write(20'000);
  flusher_->flush_now();
  ASSERT_TRUE(tells(kPatienceMs));
  EXPECT_FALSE(flusher_->take_news());
}

TEST_F(FlusherTest, AllOfItIsWaitedFor) {
  write(20'000);
  flusher_->ask();
  write(500);
  const auto positions = flusher_->flush_all(soon());
  ASSERT_TRUE(positions);
  EXPECT_EQ(positions->durable, end());
}

}  // namespace
}  // namespace standfast::witness
