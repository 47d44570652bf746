// Nothing acknowledged is lost: random work on a store over a disk whose power is cut, whose fsync fails,
// whose process dies; after each, the store opens at or past what it had acknowledged, and every byte up to
// there is the server's.
#include <cstdlib>
#include <random>

#include <gtest/gtest.h>

#include "env/simulated_disk.h"
#include "store/wal_folder.h"
#include "store/wal_store.h"
#include "wal/wal_builder.h"

namespace standfast::store {
namespace {

constexpr std::uint64_t kSegmentBytes = 1U << 20U;
const std::string kFolder = "/wal";

/// A server's WAL, a disk, and what has been acknowledged of it.
class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed), builder_({.segment_bytes = kSegmentBytes}) {
    EXPECT_TRUE(disk_.make_directory(kFolder, 0700));
    EXPECT_TRUE(disk_.sync_directory("/"));
    disk_.set_direct_access(chance(4) ? env::testing::SimulatedDisk::DirectAccess::kRefused
                                      : env::testing::SimulatedDisk::DirectAccess::kServed);
    grow();
    // Some stays begin within a record that began before.
    first_ = builder_.start() + kSegmentBytes * (chance(3) ? 1 : 0);
    while (builder_.end() < first_ + 1) grow();
    acknowledged_ = pg::Lsn();
  }

  void run() {
    for (int stay = 0; stay < 3 && !::testing::Test::HasFailure(); ++stay) {
      open();
      if (::testing::Test::HasFailure()) return;
      work();
      end_badly();
    }
    open();
  }

 private:
  bool chance(std::uint32_t one_in) { return random_() % one_in == 0; }

  void grow() {
    const pg::Lsn before = builder_.end();
    while (builder_.end().bytes_since(before) < 40'000) builder_.append_random(random_, weights_);
  }

  base::Bytes sent(pg::Lsn from, pg::Lsn to) const {
    return base::as_bytes(builder_.bytes()).subspan(from.bytes_since(builder_.start()), to.bytes_since(from));
  }

  void open() {
    auto opened = WalStore::open(disk_, {.folder = kFolder, .segment_bytes = kSegmentBytes});
    // The disk may fail here too; then somebody tries again.
    if (!opened && opened.error().code == base::ErrorCode::kIo) {
      opened = WalStore::open(disk_, {.folder = kFolder, .segment_bytes = kSegmentBytes});
    }
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
    const auto tail = store_->tail();
    if (acknowledged_.is_valid()) {
      ASSERT_TRUE(tail);
      ASSERT_GE(tail->proven_end, acknowledged_);
      ASSERT_GE(tail->resume_at, acknowledged_);
    }
    written_ = tail ? tail->resume_at : first_;
    if (tail) check_bytes(tail->proven_end);
    ASSERT_TRUE(store_->begin({.timeline = pg::TimelineId(1), .start = written_}));
    if (chance(2))
      static_cast<void>(store_->spares().write_one());  // which may fail as well, and costs nothing then
  }

  /// Which may fail as well, and costs nothing then. What is in a spare segment is anything.
  void write_spare() {
    if (!store_->spares().write_one()) return;
    const auto names = disk_.list(kFolder);
    ASSERT_TRUE(names);
    for (const std::string& name : *names) {
      if (!name.starts_with("standfast.spare.")) continue;
      const auto file = disk_.open_existing(kFolder + "/" + name);
      ASSERT_TRUE(file);
      std::vector<std::byte> rubbish(kSegmentBytes, static_cast<std::byte>(random_()));
      static_cast<void>((*file)->write_at(0, rubbish));
      static_cast<void>((*file)->sync());
    }
  }

  /// Up to `end`, what the device has is what the server sent, by names that other programs read.
  void check_bytes(pg::Lsn end) {
    disk_.drop_clean_cache();
    const auto folder = list_wal_folder(disk_, kFolder, kSegmentBytes);
    ASSERT_TRUE(folder);
    for (pg::Lsn start = first_; start < end; start = start + kSegmentBytes) {
      const SegmentEntry* entry = folder->find(pg::TimelineId(1), start);
      ASSERT_NE(entry, nullptr) << start.to_string() << " is not there, and " << end.to_string()
                                << " is proven";
      const std::string path = kFolder + "/" + segment_file_name(*entry, kSegmentBytes);
      const auto content = env::read_whole_file(disk_, path, kSegmentBytes);
      ASSERT_TRUE(content);
      ASSERT_EQ(content->size(), kSegmentBytes) << path;
      const pg::Lsn segment_end = start + kSegmentBytes;
      const pg::Lsn known_end = entry->form == SegmentForm::kWhole ? segment_end : std::min(end, segment_end);
      const std::string_view wanted = base::as_text(sent(start, known_end));
      const std::string_view there = std::string_view(*content).substr(0, wanted.size());
      const auto difference = std::mismatch(there.begin(), there.end(), wanted.begin(), wanted.end()).first;
      ASSERT_TRUE(there == wanted)
          << pg::Lsn(start.value() + static_cast<std::uint64_t>(difference - there.begin())).to_string()
          << " in " << path << " differs, and " << end.to_string() << " is proven";
    }
  }

  void work() {
    flush_one_in_ = 2 + static_cast<std::uint32_t>(random_() % 12);
    const int steps = static_cast<int>(random_() % 60);
    for (int i = 0; i < steps; ++i) {
      if (chance(flush_one_in_)) {
        flush();
      } else {
        append();
      }
      if (failed_ || ::testing::Test::HasFailure()) return;
      if (chance(200)) disk_.fail_data_sync(1 + random_() % 3);
      if (chance(200)) disk_.set_available_bytes(random_() % (8 * kSegmentBytes));
      if (chance(15)) reconnect();
    }
  }

  /// As the server sends it: at most to the end of a record, or a page.
  void append() {
    if (builder_.end().bytes_since(written_) < 4096) grow();
    std::uint64_t count =
        1 + random_() % std::min<std::uint64_t>(builder_.end().bytes_since(written_), 150'000);
    count = std::min(count, kSegmentBytes - written_.value() % kSegmentBytes);
    const auto done = store_->append(written_, sent(written_, written_ + count));
    if (!done) {
      EXPECT_NE(done.error().code, base::ErrorCode::kDamaged) << done.error().message;
      failed_ = true;
      return;
    }
    written_ = written_ + count;
  }

  void flush() {
    const auto positions = store_->flush();
    if (!positions) {
      failed_ = true;
      const auto again = store_->flush();
      EXPECT_FALSE(again) << "nothing is acknowledged after a failed fsync";
      return;
    }
    if (!positions->acknowledged.is_valid()) return;
    EXPECT_GE(positions->acknowledged, acknowledged_) << "within a timeline it never goes back";
    acknowledged_ = std::max(acknowledged_, positions->acknowledged);
  }

  void reconnect() {
    flush();
    if (failed_) return;
    const auto tail = store_->tail();
    ASSERT_TRUE(tail);
    ASSERT_GE(tail->resume_at, acknowledged_);
    written_ = tail->resume_at;
    ASSERT_TRUE(store_->begin({.timeline = pg::TimelineId(1), .start = written_}));
  }

  void end_badly() {
    failed_ = false;
    if (chance(3)) {
      disk_.crash_process();
    } else {
      disk_.power_cut(random_);
    }
    store_.reset();
    disk_.set_available_bytes(std::uint64_t{1} << 40U);
  }

  std::mt19937_64 random_;
  env::testing::SimulatedDisk disk_;
  wal::testing::WalBuilder builder_;
  wal::testing::WalBuilder::Weights weights_ = {};
  std::unique_ptr<WalStore> store_;
  pg::Lsn first_, written_, acknowledged_;
  std::uint32_t flush_one_in_ = 2;
  bool failed_ = false;
};

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

#ifdef __SANITIZE_ADDRESS__
constexpr std::uint64_t kSeeds = 500;  // each takes ten times as long
#else
constexpr std::uint64_t kSeeds = 10'000;
#endif

/// STANDFAST_SEED runs one seed, STANDFAST_SEEDS that many from a random one.
TEST(WalStoreRandom, NothingAcknowledgedIsLostWhateverTheDiskDoes) {
  const std::uint64_t count = number_from("STANDFAST_SEEDS", kSeeds);
  const std::uint64_t only = number_from("STANDFAST_SEED", 0);
  const std::uint64_t first = only != 0 ? only : (std::uint64_t{std::random_device()()} << 20U) + 1;
  for (std::uint64_t seed = first; seed < first + (only != 0 ? 1 : count); ++seed) {
    SCOPED_TRACE(::testing::Message() << "STANDFAST_SEED=" << seed);
    World(seed).run();
    ASSERT_FALSE(::testing::Test::HasFailure());
  }
}

}  // namespace
}  // namespace standfast::store
