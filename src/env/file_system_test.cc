#include "env/file_system.h"

#include <cstdlib>

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
