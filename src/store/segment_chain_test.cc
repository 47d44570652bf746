#include "store/segment_chain.h"

#include <map>

#include "env/forwarding_file_system.h"
#include "store/test_support.h"
#include "store/wal_store.h"

namespace standfast::store {
namespace {

using namespace testing;
using wal::testing::WalBuilder;

/// How often each file is opened; each time it is read to its end.
class CountingFileSystem final : public env::testing::ForwardingFileSystem {
 public:
  using ForwardingFileSystem::ForwardingFileSystem;
  base::Result<std::unique_ptr<env::File>> open_for_reading(const std::string& path) override {
    auto file = ForwardingFileSystem::open_for_reading(path);
    if (file) ++opened[path];
    return file;
  }
  std::size_t most() const {
    std::size_t found = 0;
    for (const auto& [path, count] : opened) found = std::max(found, count);
    return found;
  }
  std::map<std::string, std::size_t> opened;
};

class SegmentChainTest : public WalFolderTest {
 protected:
  static constexpr std::uint64_t kSegments = 40;

  /// A record that begins in the first segment and ends in the last one, and a small one on either side.
  static WalBuilder wal_of_a_long_record() {
    WalBuilder wal({.segment_bytes = kSegment});
    wal.append({.data = "before"});
    wal.append({.data = std::string((kSegments - 1) * kSegment, 'x')});
    wal.append({.data = "behind"});
    return wal;
  }
  void put(const WalBuilder& wal, std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t number = first; number <= last; ++number) put_segment(files_, wal, number);
  }
  SegmentChain chain() {
    return must(SegmentChain::open(
        counting_, {.folder = kFolder, .timeline = pg::TimelineId(1), .segment_bytes = kSegment}));
  }
  pg::Lsn start_of(std::uint64_t number) const { return wal_.start() + number * kSegment; }

  const WalBuilder wal_ = wal_of_a_long_record();
  CountingFileSystem counting_{files_};
};

TEST_F(SegmentChainTest, ARecordOverManySegmentsIsFollowedInTwoReadsOfEach) {
  put(wal_, 0, kSegments - 1);
  const auto scanner = must(chain().follow_to(start_of(kSegments - 1)));
  EXPECT_EQ(scanner.position(), start_of(kSegments - 1));
  EXPECT_FALSE(scanner.is_in_first_continuation());
  EXPECT_EQ(scanner.complete_end(), wal_.records().front().end);
  EXPECT_EQ(counting_.opened.size(), kSegments - 1);
  EXPECT_LE(counting_.most(), 2U);
}

TEST_F(SegmentChainTest, AStoreProvesItsTailInTwoReadsOfEach) {
  put(wal_, 0, kSegments - 2);
  put_segment(files_, wal_, kSegments - 1, SegmentForm::kPartial);
  const auto store = must(WalStore::open(counting_, {.folder = kFolder, .segment_bytes = kSegment}));
  EXPECT_EQ(store->positions().acknowledged, wal_.end());
  EXPECT_LE(counting_.most(), 3U) << "one of them is for the folder's own sake";
}

TEST_F(SegmentChainTest, WithoutTheRecordsBeginningAllThatIsThereIsFollowed) {
  put(wal_, 5, kSegments - 2);
  const auto scanner = must(chain().follow_to(start_of(kSegments - 1)));
  EXPECT_EQ(scanner.position(), start_of(kSegments - 1));
  EXPECT_EQ(scanner.complete_end(), start_of(5)) << "where it began to follow";
  EXPECT_TRUE(scanner.is_in_first_continuation());
  EXPECT_LE(counting_.most(), 2U);
}

TEST_F(SegmentChainTest, DamageOnTheWayIsSaidOrNothingIsKnown) {
  put(wal_, 0, kSegments - 2);
  change_byte(files_, path_of(wal_, 7), 8192);  // a page's magic
  const auto refused = chain().follow_to(start_of(kSegments - 1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::ErrorCode::kDamaged);
  EXPECT_NE(refused.error().message.find(path_of(wal_, 7)), std::string::npos) << refused.error().message;
  const auto scanner = chain().scanner_at(start_of(kSegments - 1));
  EXPECT_EQ(scanner.complete_end(), start_of(kSegments - 1));
  const auto store = WalStore::open(files_, {.folder = kFolder, .segment_bytes = kSegment});
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, base::ErrorCode::kDamaged);
}

}  // namespace
}  // namespace standfast::store
