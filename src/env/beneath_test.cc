#include "env/beneath.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace standfast::env {
namespace {

class BeneathTest : public testing::Test {
 protected:
  BeneathTest() {
    char pattern[] = "/tmp/standfast-env-test-XXXXXX";
    folder_ = mkdtemp(pattern);
    for (const char* name : {"/inside", "/inside/deep", "/outside"})
      EXPECT_TRUE(plain_.make_directory(folder_ + name, 0700));
    const std::string roots[] = {folder_ + "/inside"};
    auto made = file_system_beneath(roots);
    EXPECT_TRUE(made);
    if (made) files_ = *std::move(made);
  }
  ~BeneathTest() override { static_cast<void>(remove_tree(plain_, folder_)); }

  std::string at(const std::string& name) const { return folder_ + name; }
  bool exists(const std::string& name) { return plain_.inspect(at(name))->has_value(); }

  FileSystem& plain_ = posix_file_system();
  std::string folder_;
  std::unique_ptr<FileSystem> files_;
};

TEST_F(BeneathTest, FilesAndFoldersAreMadeAsAnywhere) {
  ASSERT_TRUE(files_->make_directory(at("/inside/deep/er"), 0750));
  ASSERT_TRUE(write_file_durably(*files_, at("/inside/deep/er/file"), "text", {.mode = 0640}));
  EXPECT_EQ(*read_whole_file(plain_, at("/inside/deep/er/file"), 100), "text");
  EXPECT_EQ((*files_->inspect(at("/inside/deep/er/file")))->mode, 0640U);
  EXPECT_EQ(*files_->list(at("/inside")), std::vector<std::string>{"deep"});
  EXPECT_EQ(*files_->list(at("/inside/deep/er")), std::vector<std::string>{"file"});
  ASSERT_TRUE(files_->sync_directory(at("/inside")));
  EXPECT_FALSE(files_->inspect(at("/inside/missing/file"))->has_value());
  ASSERT_TRUE(remove_tree(*files_, at("/inside/deep")));
  EXPECT_FALSE(exists("/inside/deep"));
}

TEST_F(BeneathTest, NoLinkIsFollowedOnTheWay) {
  ASSERT_TRUE(plain_.make_symlink(at("/outside"), at("/inside/link")));
  ASSERT_TRUE(plain_.make_symlink("deep", at("/inside/near")));
  EXPECT_FALSE(files_->create(at("/inside/link/file"), 0600, OnExisting::kFail));
  EXPECT_FALSE(files_->create(at("/inside/near/file"), 0600, OnExisting::kFail));
  EXPECT_FALSE(files_->make_directory(at("/inside/link/folder"), 0700));
  EXPECT_FALSE(files_->make_symlink("x", at("/inside/link/name")));
  EXPECT_FALSE(files_->remove_directory(at("/inside/link/folder")));
  EXPECT_TRUE(plain_.list(at("/outside"))->empty());
  // The link itself can be looked at, read and removed.
  EXPECT_EQ((*files_->inspect(at("/inside/link")))->kind, FileKind::kSymlink);
  EXPECT_EQ(*files_->read_symlink(at("/inside/link")), at("/outside"));
  EXPECT_TRUE(files_->remove_file(at("/inside/link")));
}

TEST_F(BeneathTest, NoLinkIsFollowedAtTheEnd) {
  ASSERT_TRUE(plain_.make_directory(at("/outside/deep"), 0700));
  ASSERT_TRUE(plain_.make_symlink(at("/outside"), at("/inside/link")));
  EXPECT_FALSE(files_->list(at("/inside/link")));
  EXPECT_FALSE(files_->sync_directory(at("/inside/link")));
  EXPECT_FALSE(files_->set_mode(at("/inside/link"), 0755));
  EXPECT_FALSE(files_->make_directory(at("/inside/link"), 0755));
  EXPECT_EQ((*plain_.inspect(at("/outside")))->mode, 0700U);
  ASSERT_TRUE(remove_tree(*files_, at("/inside/link")));
  EXPECT_TRUE(exists("/outside/deep"));
  // Of a file too, for whoever may read it or not.
  ASSERT_TRUE(write_file_durably(plain_, at("/inside/file"), "", {.mode = 0}));
  ASSERT_TRUE(files_->set_mode(at("/inside/file"), 0640));
  EXPECT_EQ((*plain_.inspect(at("/inside/file")))->mode, 0640U);
}

TEST_F(BeneathTest, FolderThatIsExchangedForALinkLeadsNowhere) {
  ASSERT_TRUE(plain_.rename_no_replace(at("/inside"), at("/moved")));
  ASSERT_TRUE(plain_.make_symlink(at("/outside"), at("/inside")));
  ASSERT_TRUE(files_->create(at("/inside/deep/file"), 0600, OnExisting::kFail));
  EXPECT_TRUE(exists("/moved/deep/file"));
  EXPECT_TRUE(plain_.list(at("/outside"))->empty());
}

TEST_F(BeneathTest, NothingLeadsUp) {
  EXPECT_FALSE(files_->create(at("/inside/../outside/file"), 0600, OnExisting::kFail));
  EXPECT_FALSE(files_->create(at("/inside/deep/../../outside/file"), 0600, OnExisting::kFail));
  EXPECT_FALSE(files_->list(at("/inside/..")));
  EXPECT_TRUE(plain_.list(at("/outside"))->empty());
}

TEST_F(BeneathTest, PathsElsewhereAreAsEver) {
  ASSERT_TRUE(plain_.make_symlink(at("/outside"), at("/link")));
  EXPECT_TRUE(files_->create(at("/link/file"), 0600, OnExisting::kFail));
  EXPECT_TRUE(exists("/outside/file"));
}

TEST_F(BeneathTest, LinkIsNoFolderToHold) {
  ASSERT_TRUE(plain_.make_symlink(at("/outside"), at("/link")));
  const std::string roots[] = {at("/link")};
  EXPECT_FALSE(file_system_beneath(roots));
}

}  // namespace
}  // namespace standfast::env
