#include "clone/sync_pool.h"

#include <atomic>

#include <gtest/gtest.h>

namespace standfast::clone {
namespace {

using base::Result;

struct Counts {
  std::atomic<int> synced = 0;
  std::atomic<int> closed = 0;
  std::atomic<int> open = 0;
  std::atomic<int> most_open = 0;
  int fails_at = -1;
};

class CountedFile final : public env::File {
 public:
  explicit CountedFile(Counts& counts) : counts_(counts) {
    counts_.most_open = std::max<int>(counts_.most_open, ++counts_.open);
  }
  ~CountedFile() override { --counts_.open; }
  Result<void> write_at(std::uint64_t, base::Bytes) override { return base::ok(); }
  Result<std::size_t> read_at(std::uint64_t, std::span<std::byte>) override { return std::size_t{0}; }
  Result<void> truncate(std::uint64_t) override { return base::ok(); }
  void start_writeback(std::uint64_t, std::uint64_t) override {}
  Result<void> sync_data() override { return sync(); }
  Result<void> sync() override {
    if (++counts_.synced == counts_.fails_at) return base::Error(base::ErrorCode::kIo, "the disk said no");
    return base::ok();
  }
  Result<void> close() override {
    ++counts_.closed;
    return base::ok();
  }

 private:
  Counts& counts_;
};

constexpr int kFiles = 2000;

TEST(SyncPool, EveryFileIsSyncedAndFewAreOpen) {
  Counts counts;
  SyncPool pool;
  for (int i = 0; i < kFiles; ++i) ASSERT_TRUE(pool.add(std::make_unique<CountedFile>(counts)));
  const env::StopEvent stop;
  ASSERT_TRUE(pool.finish(stop));
  EXPECT_EQ(counts.synced, kFiles);
  EXPECT_EQ(counts.closed, kFiles);
  EXPECT_EQ(counts.open, 0);
  EXPECT_LE(counts.most_open, static_cast<int>(SyncPool::kMaxUnsyncedFiles) + 1);
}

TEST(SyncPool, AFailedFsyncIsNeverForgotten) {
  Counts counts;
  counts.fails_at = 10;
  SyncPool pool;
  Result<void> added;
  for (int i = 0; i < kFiles && added; ++i) added = pool.add(std::make_unique<CountedFile>(counts));
  const env::StopEvent stop;
  const auto finished = pool.finish(stop);
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().code, base::ErrorCode::kIo);
  EXPECT_FALSE(pool.finish(stop));
}

TEST(SyncPool, DroppingItClosesWhatWaits) {
  Counts counts;
  {
    SyncPool pool;
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(pool.add(std::make_unique<CountedFile>(counts)));
  }
  EXPECT_EQ(counts.open, 0);
}

}  // namespace
}  // namespace standfast::clone
