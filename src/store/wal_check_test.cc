#include "store/wal_check.h"

#include <gmock/gmock.h>

#include "env/forwarding_file_system.h"
#include "store/test_support.h"
#include "store/wal_listing.h"

namespace standfast::store {
namespace {

using namespace testing;
using ::testing::HasSubstr;
using wal::testing::WalBuilder;

class WalCheckTest : public WalFolderTest {
 protected:
  WalCheck check(std::optional<pg::TimelineId> timeline = {}) {
    base::NullReporter reporter;
    env::StopEvent stop;
    return must(check_wal(files_, {.folder = kFolder, .timeline = timeline}, reporter, stop));
  }
  void put(const WalBuilder& wal, std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t number = first; number <= last; ++number) put_segment(files_, wal, number);
  }
  void put_history(unsigned timeline, const std::string& content) {
    write_file(files_, std::string(kFolder) + "/" + pg::timeline_history_name(pg::TimelineId(timeline)),
               content);
  }
  pg::Lsn start_of(std::uint64_t number) const { return wal_.start() + number * kSegment; }

  const WalBuilder wal_ = some_wal(5);
};

TEST_F(WalCheckTest, AllIsWhole) {
  put(wal_, 0, 1);
  put_segment(files_, wal_, 2, SegmentForm::kLz4);
  put_segment(files_, wal_, 3, SegmentForm::kZstd);
  put_segment(files_, wal_, 4, SegmentForm::kWhole);
  put_segment(files_, wal_, 5, SegmentForm::kPartial);
  const WalCheck found = check();
  EXPECT_TRUE(found.findings.empty()) << found.findings.front().what;
  ASSERT_EQ(found.timelines.size(), 1U);
  EXPECT_EQ(found.timelines[0].start, wal_.start());
  EXPECT_EQ(found.timelines[0].proven_from, wal_.start());
  EXPECT_EQ(found.timelines[0].valid_end, wal_.end());
  EXPECT_EQ(found.timelines[0].segments, 6U);
}

TEST_F(WalCheckTest, ThereIsNothingToCheck) {
  base::NullReporter reporter;
  env::StopEvent stop;
  const auto found = check_wal(files_, {.folder = kFolder}, reporter, stop);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, base::ErrorCode::kPrecondition);
  put(wal_, 0, 0);
  EXPECT_FALSE(check_wal(files_, {.folder = kFolder, .timeline = pg::TimelineId(3)}, reporter, stop));
}

TEST_F(WalCheckTest, FindsAFlippedBitInEachSegment) {
  for (const SegmentForm form : {SegmentForm::kWhole, SegmentForm::kLz4}) {
    for (std::uint64_t number = 0; number < 5; ++number) {
      for (std::uint64_t each = 0; each < 5; ++each) put_segment(files_, wal_, each, form);
      // Within a record's bytes: the middle of one of some size that lies there.
      const auto record = std::find_if(wal_.records().begin(), wal_.records().end(), [&](const auto& placed) {
        const bool begins_in_page = placed.start.value() % 8192 < 8000;
        return placed.start >= start_of(number) + 100'000 && placed.total_bytes > 100 && begins_in_page;
      });
      ASSERT_NE(record, wal_.records().end());
      change_byte(files_, path_of(wal_, number, form),
                  form == SegmentForm::kWhole ? record->start.bytes_since(start_of(number)) + 16 : 20'000);
      const WalCheck found = check();
      ASSERT_GE(found.findings.size(), 1U) << number;
      EXPECT_EQ(found.findings[0].kind, FindingKind::kDamage);
      EXPECT_EQ(found.findings[0].file, path_of(wal_, number, form));
      if (form == SegmentForm::kWhole) {
        EXPECT_EQ(found.findings[0].at, record->start);
        EXPECT_LE(found.timelines[0].valid_end, record->start);
        EXPECT_GE(found.timelines[0].valid_end + 8192, record->start);
      }
      EXPECT_EQ(found.timelines[0].segments, 5U) << "what comes behind is looked at too";
      for (std::uint64_t each = 0; each < 5; ++each) must(files_.remove_file(path_of(wal_, each, form)));
    }
  }
}

TEST_F(WalCheckTest, FindsDamageInTheSegmentThatIsBeingWritten) {
  put(wal_, 0, 1);
  std::string content = wal_.segment(start_of(2)).substr(0, 600'000) + std::string(kSegment - 600'000, '\0');
  const auto record = std::find_if(wal_.records().begin(), wal_.records().end(),
                                   [&](const auto& placed) { return placed.start >= start_of(2) + 200'000; });
  content[static_cast<std::size_t>(record->start.bytes_since(start_of(2))) + 16] ^= 1;
  write_file(files_, path_of(wal_, 2, SegmentForm::kPartial), content);
  const WalCheck found = check();
  ASSERT_EQ(found.findings.size(), 1U);
  EXPECT_EQ(found.findings[0].at, record->start);
  EXPECT_THAT(found.findings[0].what, HasSubstr("yet WAL goes on at"));
  EXPECT_LE(found.timelines[0].valid_end, record->start);
}

/// A file that is written to between two looks at it.
class WrittenMeanwhile final : public env::testing::ForwardingFileSystem {
 public:
  WrittenMeanwhile(FileSystem& files, std::string path, std::string then)
      : ForwardingFileSystem(files), path_(std::move(path)), then_(std::move(then)) {}
  base::Result<std::unique_ptr<env::File>> open_for_reading(const std::string& path) override {
    // The first look opens it twice: for its last page, and for all.
    if (path == path_ && ++opened_ == 3) write_file(*this, path, then_);
    return ForwardingFileSystem::open_for_reading(path);
  }

 private:
  std::string path_;
  std::string then_;
  int opened_ = 0;
};

TEST_F(WalCheckTest, WhatIsStillOnItsWayToTheFileIsNoDamage) {
  constexpr std::size_t kPage = 8192;
  const auto under_way = [&](std::size_t pages, std::size_t lacking) {
    std::string content = wal_.segment(start_of(2)).substr(0, pages * kPage);
    content.resize(kSegment);
    return content.replace(lacking * kPage, kPage, kPage, '\0');
  };
  put(wal_, 0, 1);
  const std::string path = path_of(wal_, 2, SegmentForm::kPartial);
  write_file(files_, path, under_way(74, 40));
  EXPECT_EQ(check().findings.size(), 1U) << "where it stays so";
  // By then that is all there, and the next write is under way.
  WrittenMeanwhile files(files_, path, under_way(100, 90));
  base::NullReporter reporter;
  env::StopEvent stop;
  const WalCheck found = must(check_wal(files, {.folder = kFolder}, reporter, stop));
  EXPECT_TRUE(found.findings.empty()) << found.findings[0].what;
  EXPECT_GT(found.timelines[0].valid_end, start_of(2) + 80 * kPage);
  EXPECT_LE(found.timelines[0].valid_end, start_of(2) + 90 * kPage);
}

TEST_F(WalCheckTest, CutAnywhereTheSegmentThatIsBeingWrittenIsWholeToARecordsEnd) {
  put(wal_, 0, 1);
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    std::mt19937_64 random(seed);
    const std::size_t cut = random() % kSegment;
    write_file(files_, path_of(wal_, 2, SegmentForm::kPartial),
               wal_.segment(start_of(2)).substr(0, cut) + std::string(kSegment - cut, '\0'));
    const WalCheck found = check();
    ASSERT_TRUE(found.findings.empty()) << "seed " << seed << ": " << found.findings[0].what;
    pg::Lsn end;
    for (const auto& record : wal_.records())
      if (record.end <= start_of(2) + cut) end = record.end;
    // A record that ends in zeros is whole with those of the file.
    ASSERT_GE(found.timelines[0].valid_end, end) << "seed " << seed;
    ASSERT_LE(found.timelines[0].valid_end, start_of(2) + cut + 8192) << "seed " << seed;
  }
}

TEST_F(WalCheckTest, FindsAGap) {
  put(wal_, 0, 1);
  put(wal_, 4, 4);
  const WalCheck found = check();
  ASSERT_EQ(found.findings.size(), 1U);
  EXPECT_EQ(found.findings[0].kind, FindingKind::kGap);
  EXPECT_EQ(found.findings[0].at, start_of(2));
  EXPECT_EQ(found.findings[0].what, "the WAL between " + start_of(2).to_string() + " and " +
                                        start_of(4).to_string() + " is not there");
  EXPECT_LE(found.timelines[0].valid_end, start_of(2));
}

TEST_F(WalCheckTest, FindsASegmentThatIsNotWhole) {
  put(wal_, 0, 3);
  write_file(files_, path_of(wal_, 1), wal_.segment(start_of(1)).substr(0, 100'000));
  WalCheck found = check();
  ASSERT_EQ(found.findings.size(), 1U);
  EXPECT_EQ(found.findings[0].what, "it has 100000 bytes where a segment has 1048576");
  must(files_.remove_file(path_of(wal_, 1)));
  write_file(files_, path_of(wal_, 1, SegmentForm::kPartial),
             wal_.segment(start_of(1)).substr(0, 100'000) + std::string(kSegment - 100'000, '\0'));
  found = check();
  ASSERT_EQ(found.findings.size(), 1U);
  EXPECT_EQ(found.findings[0].kind, FindingKind::kNotWhole);
  EXPECT_THAT(found.findings[0].what, HasSubstr("not whole, and others follow"));
}

TEST_F(WalCheckTest, SaysFromWhereItIsProven) {
  WalBuilder wal({.segment_bytes = kSegment});
  wal.append({.data = std::string(2 * kSegment + kSegment / 2, 'l')});
  const pg::Lsn end_of_first = wal.end();
  wal.append({.data = std::string(kSegment, 'm')});
  put(wal, 1, 2);
  const WalCheck found = check();
  EXPECT_TRUE(found.findings.empty());
  EXPECT_EQ(found.timelines[0].start, wal.start() + kSegment);
  EXPECT_EQ(found.timelines[0].proven_from, end_of_first);
  EXPECT_EQ(found.timelines[0].valid_end, end_of_first);
}

class WalCheckOfTimelines : public WalCheckTest {
 protected:
  const pg::Lsn fork_ = [this] {
    const auto& records = wal_.records();
    return std::find_if(records.begin(), records.end(),
                        [&](const auto& placed) { return placed.end >= start_of(2) + 300'000; })
        ->end;
  }();
  const WalBuilder newer_ = [this] {
    WalBuilder newer = wal_.fork(fork_, pg::TimelineId(2));
    newer.append({.data = std::string(3 * kSegment, 'n')});
    return newer;
  }();
};

TEST_F(WalCheckOfTimelines, FollowsTheFork) {
  put(wal_, 0, 2);
  put(newer_, 2, 4);
  put_history(2, "1\t" + fork_.to_string() + "\tpromoted\n");
  const WalCheck found = check();
  EXPECT_TRUE(found.findings.empty()) << found.findings[0].what;
  ASSERT_EQ(found.timelines.size(), 2U);
  EXPECT_EQ(found.timelines[1].proven_from, start_of(2));
  EXPECT_EQ(check(pg::TimelineId(2)).timelines.size(), 1U);
}

TEST_F(WalCheckOfTimelines, FindsAForkWhereNoRecordEnds) {
  put(wal_, 0, 2);
  put(newer_, 2, 4);
  put_history(2, "1\t" + pg::Lsn(fork_.value() - 8).to_string() + "\tpromoted\n");
  const WalCheck found = check();
  ASSERT_EQ(found.findings.size(), 1U);
  EXPECT_EQ(found.findings[0].kind, FindingKind::kBadJoint);
  EXPECT_EQ(found.findings[0].timeline, pg::TimelineId(2));
}

TEST_F(WalCheckOfTimelines, FindsWhatLacksBetweenThem) {
  put(wal_, 0, 0);
  put(newer_, 2, 4);
  EXPECT_TRUE(check().findings.empty()) << "without a history nobody knows that they belong together";
  put_history(2, "1\t" + fork_.to_string() + "\tpromoted\n");
  const WalCheck found = check();
  ASSERT_EQ(found.findings.size(), 1U);
  EXPECT_EQ(found.findings[0].kind, FindingKind::kGap);
  EXPECT_EQ(found.findings[0].at, start_of(1));
  EXPECT_TRUE(found.timelines[1].valid_end.is_valid());
}

TEST_F(WalCheckOfTimelines, AreListed) {
  put(wal_, 0, 1);
  put_segment(files_, wal_, 2, SegmentForm::kPartial);
  put_segment(files_, newer_, 2, SegmentForm::kLz4);
  put_segment(files_, newer_, 3, SegmentForm::kLz4);
  put_segment(files_, newer_, 4, SegmentForm::kZstd);
  put_history(2, "1\t" + fork_.to_string() + "\tpromoted\n");
  write_file(files_, std::string(kFolder) + "/standfast.spare.1", std::string(kSegment, '\0'));
  const WalListing listing = must(list_wal(files_, kFolder));
  ASSERT_TRUE(listing.origin);
  EXPECT_EQ(listing.origin->segment_bytes, kSegment);
  ASSERT_EQ(listing.timelines.size(), 2U);
  const TimelineListing& old = listing.timelines[0];
  EXPECT_FALSE(old.began_by || old.has_history_file);
  ASSERT_EQ(old.runs.size(), 2U);
  EXPECT_EQ(old.runs[0].segments, 2U);
  EXPECT_EQ(old.runs[0].bytes, 2 * kSegment);
  EXPECT_EQ(old.runs[0].last_start, start_of(1));
  EXPECT_EQ(old.runs[1].first.form, SegmentForm::kPartial);
  ASSERT_TRUE(old.runs[1].proven_end);
  EXPECT_GT(*old.runs[1].proven_end, fork_);
  const TimelineListing& newer = listing.timelines[1];
  EXPECT_TRUE(newer.has_history_file);
  ASSERT_TRUE(newer.began_by);
  EXPECT_EQ(newer.began_by->at, fork_);
  ASSERT_EQ(newer.runs.size(), 2U);
  EXPECT_EQ(newer.runs[0].segments, 2U);
  EXPECT_LT(newer.runs[0].bytes, 2 * kSegment);
  EXPECT_EQ(newer.runs[1].first.form, SegmentForm::kZstd);
  EXPECT_TRUE(old.gaps.empty() && newer.gaps.empty());
}

TEST_F(WalCheckTest, GapsAreListed) {
  put(wal_, 0, 0);
  put_segment(files_, wal_, 2, SegmentForm::kZstd);
  put(wal_, 4, 4);
  const WalListing listing = must(list_wal(files_, kFolder));
  ASSERT_EQ(listing.timelines.size(), 1U);
  ASSERT_EQ(listing.timelines[0].gaps.size(), 2U);
  EXPECT_EQ(listing.timelines[0].gaps[0].from, start_of(1));
  EXPECT_EQ(listing.timelines[0].gaps[0].to, start_of(2));
  EXPECT_EQ(listing.timelines[0].gaps[1].from, start_of(3));
  EXPECT_EQ(listing.timelines[0].runs.size(), 3U);
}

TEST_F(WalCheckTest, AFolderOfPackedSegmentsTellsItsSize) {
  put_segment(files_, wal_, 0, SegmentForm::kLz4);
  const auto origin = must(describe_wal_folder(files_, kFolder));
  ASSERT_TRUE(origin);
  EXPECT_EQ(origin->segment_bytes, kSegment);
  must(files_.remove_file(path_of(wal_, 0, SegmentForm::kLz4)));
  EXPECT_FALSE(must(list_wal(files_, kFolder)).origin);
}

}  // namespace
}  // namespace standfast::store
