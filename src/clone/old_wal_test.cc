#include "clone/old_wal.h"

#include <string>

#include <gtest/gtest.h>

#include "env/simulated_disk.h"
#include "pg/format/wal_file.h"
#include "store/wal_folder.h"
#include "wal/wal_builder.h"

namespace standfast::clone {
namespace {

using wal::testing::Placed;
using wal::testing::WalBuilder;

constexpr std::uint64_t kSegment = std::uint64_t{1} << 20U;

class OldWalTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(disk_.make_directory("/wal", 0700)); }

  void put(const std::string& name, const std::string& content) {
    auto file = *disk_.create("/wal/" + name, 0600, env::OnExisting::kReplace);
    ASSERT_TRUE(file->write_at(0, base::as_bytes(content)));
  }
  void put_segments(const WalBuilder& wal, pg::Lsn from) {
    for (pg::Lsn at = from.segment_start(kSegment); at < wal.end(); at = at + kSegment)
      put(store::segment_file_name({wal.timeline(), at}, kSegment), wal.segment(at));
  }
  OldWalQuestion question(pg::Lsn checkpoint, const std::string& source = "1\t0/1000000\tx\n") {
    pg::ControlFile control;
    control.system_id = pg::SystemId(0x6B03'34B7'1203'75A1U);
    control.checkpoint = checkpoint;
    control.timeline = pg::TimelineId(1);
    control.wal_segment_bytes = kSegment;
    return {"/wal", control, *pg::TimelineHistory::parse(pg::TimelineId(2), source)};
  }
  /// Fills more than a segment.
  static void fill(WalBuilder& wal, std::size_t records) {
    for (std::size_t i = 0; i < records; ++i) wal.append({.data = std::string(5000, 'x')});
  }
  static Placed commit(WalBuilder& wal) {
    return wal.append({.data = std::string(30, 'c'), .resource_manager = 1, .info = 0x80});
  }
  WalLine find(const OldWalQuestion& asked) {
    auto line = find_end_of_wal(disk_, asked, stop_);
    EXPECT_TRUE(line) << line.error().message;
    return *std::move(line);
  }
  std::optional<std::uint64_t> count(const OldWalQuestion& asked, const WalLine& line, pg::Lsn from) {
    auto counted = count_commits(disk_, asked, line, from, stop_);
    EXPECT_TRUE(counted) << counted.error().message;
    return *counted;
  }

  env::testing::SimulatedDisk disk_;
  env::StopEvent stop_;
};

TEST_F(OldWalTest, EndsWithItsLastRecordAndCountsWhatWasCommitted) {
  WalBuilder wal({});
  commit(wal);
  fill(wal, 300);
  const pg::Lsn fork = wal.end();
  commit(wal);
  fill(wal, 300);
  const Placed checkpoint = wal.append({.data = "checkpoint"});
  wal.append({.data = "prepare", .resource_manager = 1, .info = 0x10});
  wal.append({.data = "abort", .resource_manager = 1, .info = 0x20});
  wal.append({.data = "commit prepared", .resource_manager = 1, .info = 0x30});
  wal.append({.data = "another manager's", .resource_manager = 2, .info = 0x00});
  commit(wal);
  put_segments(wal, wal.start());
  // A segment that was kept to be used again.
  const pg::Lsn next = wal.end().segment_start(kSegment) + kSegment;
  put(store::segment_file_name({wal.timeline(), next}, kSegment), wal.segment(wal.start()));
  const OldWalQuestion asked = question(checkpoint.start);
  const WalLine line = find(asked);
  EXPECT_EQ(line.end, wal.end());
  EXPECT_EQ(line.history.timeline(), pg::TimelineId(1));
  EXPECT_EQ(count(asked, line, fork), 3U);
  EXPECT_EQ(count(asked, line, wal.start()), 4U);
  EXPECT_EQ(count(asked, line, checkpoint.start), 2U);
}

TEST_F(OldWalTest, WhatIsMissingLeavesTheCountUnknown) {
  WalBuilder wal({});
  fill(wal, 300);
  const pg::Lsn fork = wal.end();
  fill(wal, 600);
  const Placed checkpoint = wal.append({.data = "checkpoint"});
  commit(wal);
  put_segments(wal, checkpoint.start);
  const OldWalQuestion asked = question(checkpoint.start);
  const WalLine line = find(asked);
  EXPECT_EQ(line.end, wal.end());
  EXPECT_EQ(count(asked, line, fork), std::nullopt);
}

TEST_F(OldWalTest, WithoutWalTheControlFileCounts) {
  OldWalQuestion asked = question(pg::Lsn(0x2000'0028));
  EXPECT_EQ(find(asked).end, pg::Lsn(0x2000'0028));
  asked.control.min_recovery_point = pg::Lsn(0x2000'1000);
  asked.control.min_recovery_timeline = pg::TimelineId(1);
  EXPECT_EQ(find(asked).end, pg::Lsn(0x2000'1000));
  EXPECT_EQ(count(asked, find(asked), pg::Lsn(0x2000'0028)), std::nullopt);
}

TEST_F(OldWalTest, ATimelineThatTheControlFileDoesNotKnowOfYet) {
  WalBuilder wal({});
  fill(wal, 100);
  const Placed checkpoint = wal.append({.data = "checkpoint"});
  fill(wal, 100);
  const pg::Lsn fork = wal.end();
  WalBuilder promoted = wal.fork(fork, pg::TimelineId(2));
  fill(wal, 3);
  put_segments(wal, wal.start());
  commit(promoted);
  put_segments(promoted, fork);
  const OldWalQuestion asked = question(checkpoint.start, "1\t0/1000000\tx\n");
  // Without its history nobody knows where it belongs.
  EXPECT_EQ(find(asked).end, wal.end());
  put(pg::timeline_history_name(pg::TimelineId(2)), "1\t" + fork.to_string() + "\tx\n");
  const WalLine line = find(asked);
  EXPECT_EQ(line.history.timeline(), pg::TimelineId(2));
  EXPECT_EQ(line.end, promoted.end());
  EXPECT_EQ(count(asked, line, fork), 1U);
}

TEST_F(OldWalTest, AHistoryThatOnlyTheSourceHas) {
  OldWalQuestion asked = question(pg::Lsn(0x2000'0028), "1\t0/1000000\tx\n");
  asked.control.timeline = pg::TimelineId(2);
  EXPECT_EQ(find(asked).history.begin_of(pg::TimelineId(2)), pg::Lsn(0x100'0000));
  asked.control.timeline = pg::TimelineId(3);
  const auto unknown = find_end_of_wal(disk_, asked, stop_);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, base::ErrorCode::kPrecondition);
}

}  // namespace
}  // namespace standfast::clone
