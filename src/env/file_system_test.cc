#include "env/file_system.h"

#include <cerrno>
#include <cstdlib>
#include <random>

#include <gtest/gtest.h>

#include "env/stop_event.h"

namespace standfast::env {
namespace {

class FileSystemTest : public testing::Test {
 protected:
  FileSystemTest() {
    char pattern[] = "/tmp/standfast-env-test-XXXXXX";
    folder_ = mkdtemp(pattern);
  }
  ~FileSystemTest() override { static_cast<void>(remove_tree(files_, folder_)); }
  FileSystem& files_ = posix_file_system();
  std::string folder_;
};

TEST_F(FileSystemTest, DurableWriteReplacesTheWholeContentAndLeavesNoTemporaryFile) {
  const std::string path = folder_ + "/file";
  ASSERT_TRUE(write_file_durably(files_, path, "a long first content", {.mode = 0640}));
  ASSERT_TRUE(write_file_durably(files_, path, "second", {.mode = 0600}));
  EXPECT_EQ(*read_whole_file(files_, path, 100), "second");
  EXPECT_EQ((*files_.inspect(path))->mode, 0600U);
  EXPECT_EQ(files_.list(folder_)->size(), 1U);
}

TEST_F(FileSystemTest, RenameNeverReplacesUnlessAsked) {
  ASSERT_TRUE(write_file_durably(files_, folder_ + "/a", "a", {}));
  ASSERT_TRUE(write_file_durably(files_, folder_ + "/b", "b", {}));
  EXPECT_FALSE(files_.rename_no_replace(folder_ + "/a", folder_ + "/b"));
  EXPECT_EQ(*read_whole_file(files_, folder_ + "/b", 10), "b");
}

TEST_F(FileSystemTest, RemoveTreeDoesNotFollowLinks) {
  ASSERT_TRUE(make_directories(files_, folder_ + "/keep", 0700));
  ASSERT_TRUE(write_file_durably(files_, folder_ + "/keep/file", "x", {}));
  ASSERT_TRUE(make_directories(files_, folder_ + "/gone/deep", 0700));
  ASSERT_TRUE(files_.make_symlink(folder_ + "/keep", folder_ + "/gone/deep/link"));
  ASSERT_TRUE(remove_tree(files_, folder_ + "/gone"));
  EXPECT_FALSE(files_.inspect(folder_ + "/gone")->has_value());
  EXPECT_TRUE(files_.inspect(folder_ + "/keep/file")->has_value());
}

TEST_F(FileSystemTest, AFileThatIsTooLargeIsRefused) {
  ASSERT_TRUE(write_file_durably(files_, folder_ + "/big", std::string(200'000, 'x'), {}));
  EXPECT_FALSE(read_whole_file(files_, folder_ + "/big", 199'999));
  EXPECT_EQ(read_whole_file(files_, folder_ + "/big", 200'000)->size(), 200'000U);
}

std::string read_from(File& file, std::uint64_t offset, std::size_t length) {
  std::string bytes(length, '\0');
  const auto count = file.read_at(offset, std::as_writable_bytes(std::span(bytes)));
  EXPECT_TRUE(count) << count.error().message;
  bytes.resize(count ? *count : 0);
  return bytes;
}

TEST_F(FileSystemTest, DirectReadsTakeAnyOffsetAndLength) {
  std::string content(2'500'123, '\0');
  std::mt19937_64 random(3);
  for (char& byte : content) byte = static_cast<char>(random());
  ASSERT_TRUE(write_file_durably(files_, folder_ + "/file", content, {}));
  auto direct = files_.open_for_direct_reading(folder_ + "/file");
  ASSERT_TRUE(direct) << direct.error().message;
  if (*direct == nullptr) GTEST_SKIP() << "the file system of " << folder_ << " refuses O_DIRECT";
  EXPECT_EQ(read_from(**direct, 0, content.size() + 100), content);
  EXPECT_EQ(read_from(**direct, content.size(), 10), "");
  EXPECT_EQ(read_from(**direct, content.size() + 1'000'000, 10), "");
  EXPECT_EQ(read_from(**direct, content.size() - 1, 10), content.substr(content.size() - 1));
  for (int i = 0; i < 300; ++i) {
    const std::uint64_t offset = random() % content.size();
    const std::size_t length = random() % (i % 2 == 0 ? 5'000 : 2'000'000);
    ASSERT_TRUE(read_from(**direct, offset, length) == content.substr(offset, length))
        << offset << ' ' << length;
  }
  EXPECT_FALSE((*direct)->write_at(0, base::as_bytes("x")));
}

TEST_F(FileSystemTest, DirectReadsSeeWhatIsWrittenAndEndWhereTheFileEnds) {
  // Ends at a block's end and at a sector's end: what lies behind is asked for once more, and is nothing.
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{512}, std::size_t{64U << 10U}, std::size_t{1U << 20U}}) {
    const std::string path = folder_ + "/" + std::to_string(size);
    auto file = files_.create(path, 0600, OnExisting::kFail);
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->write_at(0, base::as_bytes(std::string(size, 'w'))));
    auto direct = files_.open_for_direct_reading(path);
    ASSERT_TRUE(direct);
    if (*direct == nullptr) GTEST_SKIP() << "the file system of " << folder_ << " refuses O_DIRECT";
    EXPECT_EQ(read_from(**direct, 0, size + 1), std::string(size, 'w'));
    EXPECT_EQ(read_from(**direct, 0, (4U << 20U) + 1), std::string(size, 'w'));
  }
}

TEST_F(FileSystemTest, DirectReadsAreRefusedWithNullNotWithAnError) {
  // procfs knows no O_DIRECT; nor does tmpfs on most kernels.
  auto refused = files_.open_for_direct_reading("/proc/self/mountinfo");
  ASSERT_TRUE(refused) << refused.error().message;
  EXPECT_EQ(*refused, nullptr);
  auto absent = files_.open_for_direct_reading(folder_ + "/absent");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().os_errno, ENOENT);
}

TEST(Paths, InsideIsDecidedByComponents) {
  EXPECT_TRUE(is_same_or_inside("/a/b", "/a"));
  EXPECT_TRUE(is_same_or_inside("/a/b/", "/a/b"));
  EXPECT_FALSE(is_same_or_inside("/ab", "/a"));
  EXPECT_FALSE(is_same_or_inside("/a/../b", "/a"));
  EXPECT_EQ(parent_of("/a/b/"), "/a");
  EXPECT_EQ(parent_of("/a"), "/");
  EXPECT_EQ(base_name_of("/a/b/"), "b");
}

TEST(StopEvent, EndsAWaitAtOnce) {
  StopEvent stop;
  EXPECT_EQ(wait_for(-1, 0, Wait::for_at_most(base::Milliseconds(1), &stop)), Ready::kTimeout);
  stop.set();
  EXPECT_EQ(wait_for(-1, 0, Wait::for_at_most(base::Seconds(60), &stop)), Ready::kStopped);
}

}  // namespace
}  // namespace standfast::env
