#include "store/segment_restore.h"

#include <gmock/gmock.h>

#include "store/test_support.h"

namespace standfast::store {
namespace {

using namespace testing;
using ::testing::HasSubstr;
using wal::testing::WalBuilder;

constexpr const char* kTarget = "/data/pg_wal/RECOVERYXLOG";

class SegmentRestore : public WalFolderTest {
 protected:
  void SetUp() override {
    WalFolderTest::SetUp();
    must(files_.make_directory("/data", 0700));
    must(files_.make_directory("/data/pg_wal", 0700));
  }

  std::string name(std::uint64_t number) const { return name(wal_, number); }
  static std::string name(const WalBuilder& wal, std::uint64_t number) {
    return pg::wal_segment_name(wal.timeline(), wal.start() + number * kSegment, kSegment);
  }
  base::Result<void> get(const std::string& file) {
    return restore_wal_file(files_, {.folder = kFolder, .name = file, .target = kTarget}, stop_);
  }
  void expect_refused(const std::string& file, base::ErrorCode code, const std::string& message) {
    write_file(files_, kTarget, "as it was");
    const auto done = get(file);
    ASSERT_FALSE(done) << file;
    EXPECT_EQ(base::name_of(done.error().code), base::name_of(code)) << done.error().message;
    EXPECT_THAT(done.error().message, HasSubstr(message));
    EXPECT_EQ(read_file(files_, kTarget), "as it was");
    EXPECT_EQ(must(files_.list("/data/pg_wal")).size(), 1U) << "nothing is left beside it";
    must(files_.remove_file(kTarget));
  }
  void expect_got(const std::string& file, const std::string& content) {
    must(get(file));
    ASSERT_TRUE(exists(files_, kTarget));
    EXPECT_TRUE(read_file(files_, kTarget) == content);
    EXPECT_EQ(must(files_.list("/data/pg_wal")).size(), 1U);
    // Durable: what is there outlives the power.
    std::mt19937_64 random(1);
    must(files_.sync_directory("/"));
    must(files_.sync_directory("/data"));
    files_.power_cut(random);
    EXPECT_TRUE(read_file(files_, kTarget) == content);
    must(files_.remove_file(kTarget));
  }

  const WalBuilder wal_ = some_wal(4);
  env::StopEvent stop_;
};

TEST_F(SegmentRestore, GivesASegmentInWhateverFormItIs) {
  put_segment(files_, wal_, 0);
  put_segment(files_, wal_, 1, SegmentForm::kLz4);
  put_segment(files_, wal_, 2, SegmentForm::kZstd);
  must(files_.sync_directory("/"));
  for (const std::uint64_t number : {0U, 1U, 2U})
    expect_got(name(number), wal_.segment(wal_.start() + number * kSegment));
}

TEST_F(SegmentRestore, SaysWhatIsNotThere) {
  expect_refused(name(0), base::ErrorCode::kFailed, "is not in \"/wal\"");
  expect_refused("00000002.history", base::ErrorCode::kFailed, "is not in");
  expect_refused(name(0) + ".partial", base::ErrorCode::kFailed, "is not in");
  expect_refused(name(0) + ".00000028.backup", base::ErrorCode::kFailed, "is not in");
  must(files_.remove_directory(kFolder));
  expect_refused(name(0), base::ErrorCode::kFailed, "the folder \"/wal\" is not there");
}

/// What recovery would take for the end of all WAL is said only of what it may have asked for.
TEST_F(SegmentRestore, ACallThatCannotBeARecoverysIsNoAbsence) {
  for (const char* file : {"../etc/passwd", "pg_wal/RECOVERYXLOG", "%f", "0000000100000000"})
    expect_refused(file, base::ErrorCode::kUsage, "is no file that a recovery asks for");
  write_file(files_, "/file", "");
  const auto done = restore_wal_file(files_, {.folder = "/file", .name = name(0), .target = kTarget}, stop_);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, base::ErrorCode::kUsage);
}

TEST_F(SegmentRestore, GivesAHistory) {
  const std::string history = "1\t0/3000148\tno recovery target specified\n";
  write_file(files_, std::string(kFolder) + "/00000002.history", history);
  must(files_.sync_directory("/"));
  expect_got("00000002.history", history);
  write_file(files_, std::string(kFolder) + "/00000002.history", "3\t0/3000148\tof the future\n");
  expect_refused("00000002.history", base::ErrorCode::kDamaged, "makes no sense");
}

TEST_F(SegmentRestore, GivesThePartialOneThatEndsItsTimeline) {
  for (const std::uint64_t number : {0U, 1U, 2U, 3U}) put_segment(files_, wal_, number);
  // Up to its end whole; behind that a record of which all but the last byte came.
  std::string content = wal_.segment(wal_.start() + 4 * kSegment);
  const std::string wanted = content;
  WalBuilder more = wal_;
  more.append({.data = std::string(20'000, 'm')});
  content = more.segment(more.start() + 4 * kSegment);
  const auto last = static_cast<std::size_t>(more.end().bytes_since(more.start() + 4 * kSegment));
  content.replace(last - 16, 16, 16, '\x55');
  write_file(files_, path_of(wal_, 4, SegmentForm::kPartial), content);
  must(files_.sync_directory("/"));
  expect_got(name(4), wanted);
}

TEST_F(SegmentRestore, TakesAPartialOneThatIsFullForWhole) {
  for (const std::uint64_t number : {0U, 1U}) put_segment(files_, wal_, number);
  put_segment(files_, wal_, 2, SegmentForm::kPartial);
  must(files_.sync_directory("/"));
  expect_got(name(2), wal_.segment(wal_.start() + 2 * kSegment));
  put_segment(files_, wal_, 3, SegmentForm::kPartial);  // a receiver that has not given it its name yet
  expect_got(name(2), wal_.segment(wal_.start() + 2 * kSegment));
}

TEST_F(SegmentRestore, RefusesAPartialOneInTheMiddle) {
  put_segment(files_, wal_, 0);
  write_file(
      files_, path_of(wal_, 1, SegmentForm::kPartial),
      wal_.segment(wal_.start() + kSegment).substr(0, 500'000) + std::string(kSegment - 500'000, '\0'));
  put_segment(files_, wal_, 2);
  expect_refused(name(1), base::ErrorCode::kDamaged, "is not whole, and others follow it");
}

TEST_F(SegmentRestore, APartialOneWithoutARecordIsNotThere) {
  put_segment(files_, wal_, 0);
  write_file(files_, path_of(wal_, 1, SegmentForm::kPartial), std::string(kSegment, '\0'));
  expect_refused(name(1), base::ErrorCode::kFailed, "is not in");
}

TEST_F(SegmentRestore, RefusesADamagedSegmentInEveryForm) {
  for (const SegmentForm form : {SegmentForm::kWhole, SegmentForm::kLz4, SegmentForm::kZstd}) {
    put_segment(files_, wal_, 0, form);
    put_segment(files_, wal_, 1, form);
    for (const std::uint64_t offset : {30'000U, 100'000U}) {
      put_segment(files_, wal_, 1, form);
      change_byte(files_, path_of(wal_, 1, form), offset);
      expect_refused(name(1), base::ErrorCode::kDamaged, path_of(wal_, 1, form));
    }
    must(files_.remove_file(path_of(wal_, 0, form)));
    must(files_.remove_file(path_of(wal_, 1, form)));
  }
}

/// The record that runs into a segment is proven too, by the segment that has its beginning.
TEST_F(SegmentRestore, RefusesDamageInTheRecordFromBefore) {
  WalBuilder wal({.segment_bytes = kSegment});
  wal.append({.data = std::string(100, 'a')});
  wal.append({.data = std::string(kSegment + 500'000, 'b')});
  wal.append({.data = std::string(kSegment, 'c')});
  put_segment(files_, wal, 0);
  put_segment(files_, wal, 1);
  change_byte(files_, path_of(wal, 1), 200'000);
  expect_refused(name(wal, 1), base::ErrorCode::kDamaged, "the checksum of the record does not match");
  // Without that segment nothing can be said of it.
  must(files_.remove_file(path_of(wal, 0)));
  EXPECT_TRUE(get(name(wal, 1)));
}

TEST_F(SegmentRestore, IsNotStoppedByDamageInTheSegmentBefore) {
  put_segment(files_, wal_, 0);
  put_segment(files_, wal_, 1);
  change_byte(files_, path_of(wal_, 0), 500'000);
  must(files_.sync_directory("/"));
  expect_got(name(1), wal_.segment(wal_.start() + kSegment));
}

TEST_F(SegmentRestore, RefusesAShortSegment) {
  put_segment(files_, wal_, 0);
  write_file(files_, path_of(wal_, 1), wal_.segment(wal_.start() + kSegment).substr(0, 700'000));
  expect_refused(name(1), base::ErrorCode::kDamaged, "has 700000 bytes where a segment has 1048576");
  write_file(files_, path_of(wal_, 1), "");
  expect_refused(name(1), base::ErrorCode::kDamaged, "does not begin as a segment does");
}

TEST_F(SegmentRestore, RefusesASegmentUnderAnotherName) {
  write_file(files_, path_of(wal_, 1), wal_.segment(wal_.start()));
  expect_refused(name(1), base::ErrorCode::kDamaged, "the page says that it is the one at");
}

TEST_F(SegmentRestore, FollowsATimelineOverItsFork) {
  const pg::Lsn fork = wal_.records()[wal_.records().size() / 2].end;
  WalBuilder newer = wal_.fork(fork, pg::TimelineId(2));
  newer.append({.data = std::string(2 * kSegment, 'n')});
  const std::uint64_t number = fork.bytes_since(wal_.start()) / kSegment;
  ASSERT_GT(number, 0U);
  put_segment(files_, wal_, number - 1);
  put_segment(files_, newer, number);
  write_file(files_, std::string(kFolder) + "/00000002.history", "1\t" + fork.to_string() + "\tpromoted\n");
  must(files_.sync_directory("/"));
  expect_got(name(newer, number), newer.segment(fork));
}

TEST_F(SegmentRestore, LeavesTheTargetWhenTheDiskIsFull) {
  put_segment(files_, wal_, 0);
  write_file(files_, kTarget, "as it was");
  files_.set_available_bytes(300'000);
  expect_refused(name(0), base::ErrorCode::kDiskFull, kTarget);
}

TEST_F(SegmentRestore, StopsWhenItIsAskedTo) {
  put_segment(files_, wal_, 0);
  stop_.set();
  expect_refused(name(0), base::ErrorCode::kCancelled, "");
}

TEST_F(SegmentRestore, ItsModeIsThatOfItsDirectory) {
  put_segment(files_, wal_, 0);
  must(get(name(0)));
  EXPECT_EQ(must(files_.inspect(kTarget))->mode, 0600U);
  must(files_.set_mode("/data/pg_wal", 0750));
  must(get(name(0)));
  EXPECT_EQ(must(files_.inspect(kTarget))->mode, 0640U);
}

}  // namespace
}  // namespace standfast::store
