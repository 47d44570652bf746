#include "store/test_support.h"
#include "store/wal_store.h"

namespace standfast::store {
namespace {

using namespace testing;
using wal::testing::WalBuilder;

class WalStoreProofTest : public WalFolderTest {
 protected:
  std::unique_ptr<WalStore> open() {
    return must(WalStore::open(files_, {.folder = kFolder, .segment_bytes = kSegment}));
  }
  static void append_all(WalStore& store, const WalBuilder& wal) {
    for (pg::Lsn at = store.positions().written; at < wal.end();) {
      const std::uint64_t count = std::min(wal.end().bytes_since(at), kSegment - at.value() % kSegment);
      must(store.append(at, base::as_bytes(wal.bytes()).subspan(at.bytes_since(wal.start()), count)));
      must(store.flush());
      at = at + count;
    }
  }
};

TEST_F(WalStoreProofTest, ToProveItsEndItNeedsWhereTheLastRecordBegan) {
  WalBuilder wal({.segment_bytes = kSegment});
  for (int i = 0; i < 3; ++i) wal.append({.data = std::string(kSegment * 3 / 4, 'a')});
  const pg::Lsn large = wal.append({.data = std::string(3 * kSegment, 'b')}).start;
  wal.append({.data = "acknowledged"});
  auto store = open();
  must(store->begin({.timeline = wal.timeline(), .start = wal.start()}));
  append_all(*store, wal);
  ASSERT_EQ(store->positions().acknowledged, wal.end());
  EXPECT_LE(store->proof_from(), large);
  EXPECT_EQ(store->proof_from().segment_start(kSegment), large.segment_start(kSegment));

  const std::uint64_t needless = store->proof_from().segment_start(kSegment).bytes_since(wal.start());
  ASSERT_GE(needless, kSegment);
  store.reset();
  for (std::uint64_t number = 0; number < needless / kSegment; ++number)
    must(files_.remove_file(path_of(wal, number)));
  store = open();
  EXPECT_EQ(store->tail()->proven_end, wal.end());
  EXPECT_EQ(store->proof_from().segment_start(kSegment), large.segment_start(kSegment));

  store.reset();
  must(files_.remove_file(path_of(wal, needless / kSegment)));
  EXPECT_LT(open()->tail()->proven_end, wal.end()) << "less does not do";
}

}  // namespace
}  // namespace standfast::store
