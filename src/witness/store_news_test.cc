#include "witness/store_news.h"

#include <gtest/gtest.h>

#include "env/simulated_disk.h"
#include "wal/wal_builder.h"

namespace standfast::witness {
namespace {

constexpr std::uint64_t kSegmentBytes = 1U << 20U;
const std::string kFolder = "/wal";

class ViewOfStoreTest : public ::testing::Test {
 protected:
  ViewOfStoreTest() {
    EXPECT_TRUE(disk_.make_directory(kFolder, 0700));
    EXPECT_TRUE(disk_.sync_directory("/"));
    while (old_.end() < old_.start() + kSegmentBytes + 300'000) old_.append({.data = std::string(900, 'x')});
    open();
  }

  void open() {
    store_ = std::move(*store::WalStore::open(disk_, {.folder = kFolder, .segment_bytes = kSegmentBytes}));
  }

  void append(const wal::testing::WalBuilder& wal, pg::Lsn from, pg::Lsn to) {
    while (from < to) {
      const pg::Lsn next = std::min(to, from.segment_start(kSegmentBytes) + kSegmentBytes);
      ASSERT_TRUE(store_->append(
          from, base::as_bytes(wal.bytes()).subspan(from.bytes_since(wal.start()), next.bytes_since(from))));
      from = next;
    }
    ASSERT_TRUE(store_->flush());
  }

  env::testing::SimulatedDisk disk_;
  wal::testing::WalBuilder old_{{.segment_bytes = kSegmentBytes}};
  std::unique_ptr<store::WalStore> store_;
};

TEST_F(ViewOfStoreTest, AnEmptyFolderHasNone) {
  const auto view = view_of_store(disk_, *store_);
  ASSERT_TRUE(view);
  EXPECT_FALSE(*view);
}

TEST_F(ViewOfStoreTest, WhileATimelineHasNotReachedItsBeginningTheOneBeforeIsServed) {
  const pg::Lsn fork = old_.end();
  auto next = old_.fork(fork, pg::TimelineId(2));
  next.append({.data = "of the new one"});
  ASSERT_TRUE(store_->begin({.timeline = pg::TimelineId(1), .start = old_.start()}));
  append(old_, old_.start(), fork);
  ASSERT_TRUE(store_->write_history(pg::TimelineId(2), "1\t" + fork.to_string() + "\tno reason\n"));
  const pg::Lsn segment = fork.segment_start(kSegmentBytes);
  ASSERT_TRUE(store_->begin({.timeline = pg::TimelineId(2), .start = segment, .fork = fork}));
  append(next, segment, segment + 100'000);
  open();
  const auto view = view_of_store(disk_, *store_);
  ASSERT_TRUE(view && *view);
  EXPECT_EQ((*view)->timeline, pg::TimelineId(1));
  EXPECT_EQ((*view)->durable_end, fork);

  const pg::Lsn resume_at = store_->tail()->resume_at;
  ASSERT_TRUE(store_->begin({.timeline = pg::TimelineId(2), .start = resume_at, .fork = fork}));
  append(next, resume_at, next.end());
  open();
  const auto later = view_of_store(disk_, *store_);
  ASSERT_TRUE(later && *later);
  EXPECT_EQ((*later)->timeline, pg::TimelineId(2));
  EXPECT_EQ((*later)->durable_end, next.end());
}

}  // namespace
}  // namespace standfast::witness
