#include "store/segment_compressor.h"

#include <functional>

#include <gmock/gmock.h>

#include "env/forwarding_file_system.h"
#include "store/segment_source.h"
#include "store/test_support.h"

namespace standfast::store {
namespace {

using namespace testing;
using ::testing::HasSubstr;

class SegmentCompressor : public WalFolderTest, public ::testing::WithParamInterface<SegmentForm> {
 protected:
  const wal::testing::WalBuilder wal_ = some_wal(2);
  env::StopEvent stop_;

  base::Result<std::uint64_t> compress() {
    return compress_segment(files_,
                            {.folder = kFolder, .segment_bytes = kSegment, .packing = {.form = GetParam()}},
                            {wal_.timeline(), wal_.start(), SegmentForm::kWhole}, stop_);
  }
  /// The segment in the best form that is there, unpacked.
  std::string content() {
    const WalFolder folder = must(list_wal_folder(files_, kFolder, kSegment));
    const SegmentEntry* entry = folder.find(wal_.timeline(), wal_.start());
    if (entry == nullptr) return "nothing";
    const auto source = must(open_segment_source(files_, kFolder, *entry, kSegment));
    std::string out(kSegment, '\0');
    std::size_t got = 0;
    while (const std::size_t count = must(source->read(std::as_writable_bytes(std::span(out)).subspan(got))))
      got += count;
    out.resize(got);
    return out;
  }
};

TEST_P(SegmentCompressor, LeavesOnlyThePackedOne) {
  put_segment(files_, wal_, 0);
  const std::uint64_t size = must(compress());
  EXPECT_LT(size, kSegment);
  EXPECT_THAT(must(files_.list(kFolder)), ::testing::ElementsAre(segment_file_name(
                                              {wal_.timeline(), wal_.start(), GetParam()}, kSegment)));
  EXPECT_EQ(must(files_.inspect(path_of(wal_, 0, GetParam())))->size_bytes, size);
  EXPECT_TRUE(content() == wal_.segment(wal_.start()));
}

TEST_P(SegmentCompressor, BeginsAnewAfterOneThatWasCutOff) {
  put_segment(files_, wal_, 0);
  write_file(files_, std::string(kFolder) + "/standfast.packed", "half of");
  write_file(files_, path_of(wal_, 0, GetParam()), "not what it was");
  must(compress());
  EXPECT_EQ(must(files_.list(kFolder)).size(), 1U);
  EXPECT_TRUE(content() == wal_.segment(wal_.start()));
}

TEST_P(SegmentCompressor, KeepsAShortOne) {
  write_file(files_, path_of(wal_, 0), wal_.segment(wal_.start()).substr(0, 5000));
  const auto done = compress();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, base::ErrorCode::kDamaged);
  EXPECT_THAT(done.error().message, HasSubstr("has 5000 bytes"));
  EXPECT_EQ(must(files_.list(kFolder)).size(), 1U);
}

TEST_P(SegmentCompressor, KeepsTheOriginalWhenTheDiskIsFull) {
  put_segment(files_, wal_, 0);
  files_.set_available_bytes(20'000);
  const auto done = compress();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, base::ErrorCode::kDiskFull);
  EXPECT_EQ(must(files_.list(kFolder)).size(), 1U);
  EXPECT_TRUE(content() == wal_.segment(wal_.start()));
}

TEST_P(SegmentCompressor, KeepsTheOriginalWhenAnFsyncFails) {
  put_segment(files_, wal_, 0);
  files_.fail_data_sync(1);
  ASSERT_FALSE(compress());
  EXPECT_EQ(must(files_.list(kFolder)).size(), 1U);
  EXPECT_TRUE(content() == wal_.segment(wal_.start()));
}

TEST_P(SegmentCompressor, StopsWhenItIsAskedTo) {
  put_segment(files_, wal_, 0);
  stop_.set();
  const auto done = compress();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, base::ErrorCode::kCancelled);
  EXPECT_EQ(must(files_.list(kFolder)).size(), 1U);
}

/// Cuts the power at the n-th call that changes a name or makes one durable.
class PowerCutter final : public env::testing::ForwardingFileSystem {
 public:
  PowerCutter(env::testing::SimulatedDisk& disk, std::mt19937_64& random, std::uint64_t calls)
      : ForwardingFileSystem(disk), disk_(disk), random_(random), calls_(calls) {}

  base::Result<void> rename_over(const std::string& from, const std::string& to) override {
    TRY(ForwardingFileSystem::rename_over(from, to));
    return count();
  }
  base::Result<void> sync_directory(const std::string& path) override {
    TRY(ForwardingFileSystem::sync_directory(path));
    return count();
  }
  base::Result<void> remove_file(const std::string& path) override {
    TRY(ForwardingFileSystem::remove_file(path));
    return count();
  }

 private:
  base::Result<void> count() {
    if (calls_-- > 1) return base::ok();
    disk_.power_cut(random_);
    return base::Error(base::ErrorCode::kIo, "no power");
  }
  env::testing::SimulatedDisk& disk_;
  std::mt19937_64& random_;
  std::uint64_t calls_;
};

/// After each step the power may be cut, and what is there is the whole segment.
TEST(SegmentCompressorPower, CutAtAnyStepTheSegmentIsWhole) {
  const auto wal = some_wal(1);
  const std::string whole = wal.segment(wal.start());
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    std::mt19937_64 random(seed);
    env::testing::SimulatedDisk files;
    must(files.make_directory(kFolder, 0700));
    must(files.sync_directory("/"));
    put_segment(files, wal, 0);
    env::StopEvent stop;
    const Packing packing{.form = seed % 2 == 0 ? SegmentForm::kLz4 : SegmentForm::kZstd};
    const CompressOptions options{.folder = kFolder, .segment_bytes = kSegment, .packing = packing};
    PowerCutter cutter(files, random, 1 + seed % 3);
    ASSERT_FALSE(compress_segment(cutter, options, {wal.timeline(), wal.start(), {}}, stop));
    const WalFolder folder = must(list_wal_folder(files, kFolder, kSegment));
    const SegmentEntry* entry = folder.find(wal.timeline(), wal.start());
    ASSERT_NE(entry, nullptr) << "seed " << seed;
    // Whichever is read, and the packed one too if both are there.
    for (const SegmentEntry& each : folder.segments) {
      const auto source = must(open_segment_source(files, kFolder, each, kSegment));
      std::string content(2 * kSegment, '\0');
      std::size_t got = 0;
      while (const std::size_t count =
                 must(source->read(std::as_writable_bytes(std::span(content)).subspan(got))))
        got += count;
      content.resize(got);
      ASSERT_TRUE(content == whole) << "seed " << seed << ", " << segment_file_name(each, kSegment);
    }
    if (entry->form == SegmentForm::kWhole) {
      ASSERT_TRUE(compress_segment(files, options, *entry, stop)) << "seed " << seed;
    }
    ASSERT_EQ(must(files.list(kFolder)).size(), 1U) << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, SegmentCompressor, ::testing::Values(SegmentForm::kLz4, SegmentForm::kZstd));

}  // namespace
}  // namespace standfast::store
