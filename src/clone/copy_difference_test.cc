#include "clone/copy_difference.h"

#include <random>
#include <string>

#include <gtest/gtest.h>

#include "clone/agent_copy.h"
#include "clone/copy_source_support.h"
#include "env/simulated_disk.h"

namespace standfast::clone {
namespace {

using testing::MemorySource;
using testing::put_file;
using testing::tree_of;

class CopyDifferenceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(disk_.make_directory("/data", 0700));
    source_.tree = {{"PG_VERSION", "15\n"},
                    {"base", std::nullopt},
                    {"base/1", std::string(40 * 8192, 'a')},
                    {"base/2", std::string(100, 'b')},
                    {"base/empty", ""},
                    {"global", std::nullopt},
                    {"global/pg_control", std::string(8192, 'c')},
                    {"pg_wal", std::nullopt}};
  }
  CopyPlaces places() const { return {.data_folder = "/data"}; }
  CopyDifference find() {
    const auto entries = source_.list();
    const auto stream = source_.opener()(stop_);
    auto found = find_difference(entries, places(), {disk_, **stream, stop_});
    EXPECT_TRUE(found) << found.error().message;
    return *found;
  }
  std::uint64_t copied_bytes() {
    const auto entries = source_.list();
    const OpenCopyStream opener = source_.opener();
    AgentCopyOptions options;
    options.places = places();
    const auto copied = copy_from_agent(entries, options, {disk_, stop_, opener});
    EXPECT_TRUE(copied) << copied.error().message;
    EXPECT_TRUE(place_control_file(disk_, *copied, SyncFiles::kYes));
    return copied->progress.fetched_bytes;
  }

  env::testing::SimulatedDisk disk_;
  env::StopEvent stop_;
  MemorySource source_;
};

TEST_F(CopyDifferenceTest, OfNothingAllIsMoved) {
  const CopyDifference found = find();
  EXPECT_EQ(found.moved_bytes, found.total_bytes);
  EXPECT_EQ(found.total_bytes, 40 * 8192U + 100 + 3 + 8192);
  EXPECT_EQ(found.files, 5U);
}

TEST_F(CopyDifferenceTest, IsWhatACopyThenMoves) {
  const std::uint64_t seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  copied_bytes();
  for (int round = 0; round < 30; ++round) {
    SCOPED_TRACE(round);
    for (const char* path : {"base/1", "base/2", "base/3"}) {
      auto& content = source_.tree[path];
      if (!content) content = std::string(3 * 8192, 'n');
      if (random() % 3 == 0) content->resize(random() % (60 * 8192) + 1, 'l');
      for (std::uint64_t i = random() % 4; i > 0; --i) ++(*content)[random() % content->size()];
    }
    if (random() % 4 == 0) put_file(disk_, "/data/base/2", std::string(random() % 20000, 'o'));
    const auto before = tree_of(disk_, "/data");
    const CopyDifference found = find();
    EXPECT_EQ(tree_of(disk_, "/data"), before);
    EXPECT_EQ(found.moved_bytes, copied_bytes());
  }
}

TEST_F(CopyDifferenceTest, WhatTheSourceLosesMeanwhileIsNotMoved) {
  copied_bytes();
  const auto entries = source_.list();
  source_.tree.erase("base/1");
  const auto stream = source_.opener()(stop_);
  const auto found = find_difference(entries, places(), {disk_, **stream, stop_});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->moved_bytes, 8192U + 100 + 3);  // what is short and has no pages always is
}

TEST_F(CopyDifferenceTest, CanBeStopped) {
  copied_bytes();
  stop_.set();
  const auto entries = source_.list();
  const auto stream = source_.opener()(stop_);
  const auto found = find_difference(entries, places(), {disk_, **stream, stop_});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, base::ErrorCode::kCancelled);
}

}  // namespace
}  // namespace standfast::clone
