#include "store/spare_segments.h"

#include "store/test_support.h"
#include "store/wal_store.h"

namespace standfast::store {
namespace {

using namespace testing;

class SpareSegmentsTest : public WalFolderTest {
 protected:
  std::vector<std::string> names() { return must(files_.list(kFolder)); }
};

TEST_F(SpareSegmentsTest, OneIsWrittenAheadAndTakenOnce) {
  SpareSegments spares(files_, kFolder, kSegment, 0600);
  must(spares.write_one());
  EXPECT_EQ(spares.count(), 1U);
  EXPECT_TRUE(must(spares.take("/wal/a")));
  EXPECT_EQ(must(files_.inspect("/wal/a"))->size_bytes, kSegment);
  EXPECT_FALSE(must(spares.take("/wal/b")));
  EXPECT_FALSE(exists(files_, "/wal/b"));
}

TEST_F(SpareSegmentsTest, AStartFindsThemAndRemovesAHalfWrittenOne) {
  write_file(files_, "/wal/standfast.spare.7", std::string(kSegment, '\0'));
  write_file(files_, "/wal/standfast.spare.8.new", "half");
  write_file(files_, "/wal/standfast.spare.short", "not ours");
  SpareSegments spares(files_, kFolder, kSegment, 0600);
  must(spares.find());
  EXPECT_EQ(spares.count(), 1U);
  EXPECT_FALSE(exists(files_, "/wal/standfast.spare.8.new"));
  must(spares.write_one());
  EXPECT_TRUE(exists(files_, "/wal/standfast.spare.8"));
  EXPECT_TRUE(exists(files_, "/wal/standfast.spare.short"));
}

/// A reader that has a file of WAL open goes on reading what it was.
TEST_F(SpareSegmentsTest, AFileThatHadANameOfWalIsNotWrittenToAgain) {
  const auto wal = some_wal(4);
  const auto other_wal = some_wal(4, 2);
  put_segment(files_, wal, 0);
  put_segment(files_, wal, 1, SegmentForm::kPartial);
  // Behind what is proven, since the segment before it is not full.
  change_byte(files_, path_of(wal, 1, SegmentForm::kPartial), kSegment / 2);
  put_segment(files_, other_wal, 2, SegmentForm::kPartial);
  const std::string before = read_file(files_, path_of(wal, 2, SegmentForm::kPartial));
  const auto reader = must(files_.open_for_reading(path_of(wal, 2, SegmentForm::kPartial)));

  const auto store = must(WalStore::open(files_, {.folder = kFolder, .segment_bytes = kSegment}));
  EXPECT_FALSE(exists(files_, path_of(wal, 2, SegmentForm::kPartial)));
  pg::Lsn at = store->tail()->resume_at;
  ASSERT_LT(at, wal.start() + 2 * kSegment);
  must(store->begin({.timeline = pg::TimelineId(1), .start = at}));
  while (at < wal.end()) {
    const std::uint64_t count = std::min(wal.end().bytes_since(at), kSegment - at.value() % kSegment);
    const std::string_view all = wal.bytes();
    must(store->append(at, base::as_bytes(all.substr(at.bytes_since(wal.start()), count))));
    must(store->flush());
    at = at + count;
  }
  std::vector<std::byte> now(kSegment);
  ASSERT_EQ(must(reader->read_at(0, now)), kSegment);
  EXPECT_TRUE(base::as_text(now) == before);
}

}  // namespace
}  // namespace standfast::store
