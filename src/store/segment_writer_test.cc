#include "store/segment_writer.h"

#include <cstdlib>

#include <gtest/gtest.h>

namespace standfast::store {
namespace {

constexpr std::uint64_t kSegmentBytes = 1U << 20U;

class SegmentWriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "standfast-store-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    ASSERT_TRUE(files_.make_directory(folder_ + "/archive_status", 0700));
  }
  void TearDown() override { ASSERT_TRUE(env::remove_tree(files_, folder_)); }

  SegmentWriter writer() { return SegmentWriter(files_, {folder_, pg::TimelineId(1), kSegmentBytes}); }
  std::string read(const std::string& name) {
    return *env::read_whole_file(files_, folder_ + "/" + name, 2 * kSegmentBytes);
  }

  env::FileSystem& files_ = env::posix_file_system();
  std::string folder_;
};

TEST_F(SegmentWriterTest, AnIncompleteSegmentIsFilledUpWithZeros) {
  SegmentWriter segments = writer();
  ASSERT_TRUE(segments.write(pg::Lsn(3 * kSegmentBytes), base::as_bytes("abc")));
  ASSERT_TRUE(segments.flush());
  ASSERT_TRUE(segments.finish_segment());
  std::string expected = "abc";
  expected.resize(kSegmentBytes);
  EXPECT_TRUE(read("000000010000000000000003") == expected);
}

TEST_F(SegmentWriterTest, EachSegmentIsAFileAndMarkedDone) {
  SegmentWriter segments = writer();
  for (std::uint64_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(
        segments.write(pg::Lsn((7 + i) * kSegmentBytes), base::as_bytes(std::string(kSegmentBytes, 'x'))));
    ASSERT_TRUE(segments.finish_segment());
  }
  const std::vector<std::string> names = {"000000010000000000000007", "000000010000000000000008",
                                          "000000010000000000000009", "archive_status"};
  EXPECT_EQ(*files_.list(folder_), names);
  const std::vector<std::string> marks = {"000000010000000000000007.done", "000000010000000000000008.done",
                                          "000000010000000000000009.done"};
  EXPECT_EQ(*files_.list(folder_ + "/archive_status"), marks);
}

TEST_F(SegmentWriterTest, AHistoryFileIsMarkedDoneToo) {
  SegmentWriter segments = writer();
  ASSERT_TRUE(segments.write_history(pg::TimelineId(2), "1\t0/3000000\tno reason\n"));
  EXPECT_EQ(read("00000002.history"), "1\t0/3000000\tno reason\n");
  EXPECT_TRUE((*files_.inspect(folder_ + "/archive_status/00000002.history.done")).has_value());
}

TEST_F(SegmentWriterTest, AnExistingSegmentIsNeverOverwritten) {
  ASSERT_TRUE(files_.create(folder_ + "/000000010000000000000003", 0600, env::OnExisting::kFail));
  SegmentWriter segments = writer();
  EXPECT_FALSE(segments.write(pg::Lsn(3 * kSegmentBytes), base::as_bytes("abc")));
}

}  // namespace
}  // namespace standfast::store
