#include "env/lock_file.h"

#include <cstdlib>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "env/file_system.h"

namespace standfast::env {
namespace {

class LockFileTest : public testing::Test {
 protected:
  LockFileTest() {
    char pattern[] = "/tmp/standfast-env-test-XXXXXX";
    folder_ = mkdtemp(pattern);
    path_ = folder_ + "/lock";
  }
  ~LockFileTest() override { static_cast<void>(remove_tree(files_, folder_)); }
  bool exists() { return files_.inspect(path_)->has_value(); }

  FileSystem& files_ = posix_file_system();
  std::string folder_;
  std::string path_;
};

TEST_F(LockFileTest, OneHoldsItAndRemovesItInTheEnd) {
  {
    const auto held = LockFile::take(path_, "process 7 of host h2");
    ASSERT_TRUE(held && *held);
    const auto second = LockFile::take(path_, "another");
    ASSERT_TRUE(second);
    EXPECT_FALSE(*second);
    EXPECT_EQ(*holder_of_lock(path_), "process 7 of host h2");
  }
  EXPECT_FALSE(exists());
  EXPECT_FALSE(*holder_of_lock(path_));
  EXPECT_FALSE(exists()) << "a look makes nothing";
  EXPECT_TRUE(LockFile::take(path_, "x")->has_value());
}

TEST_F(LockFileTest, WhatAKilledProcessLeftIsTakenOver) {
  const pid_t child = fork();
  if (child == 0) {
    const auto held = LockFile::take(path_, "the killed one, with a note that is longer");
    _exit(held && *held ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  ASSERT_TRUE(exists());
  EXPECT_FALSE(*holder_of_lock(path_));
  const auto held = LockFile::take(path_, "next");
  ASSERT_TRUE(held && *held);
  EXPECT_EQ(*holder_of_lock(path_), "next");
}

TEST_F(LockFileTest, FileThatGotItsNameMeanwhileIsNotRemoved) {
  auto held = LockFile::take(path_, "x");
  ASSERT_TRUE(held && *held);
  ASSERT_TRUE(files_.remove_file(path_));
  const auto second = LockFile::take(path_, "y");
  ASSERT_TRUE(second && *second) << "the lock is on another file";
  held->reset();
  EXPECT_TRUE(exists());
}

TEST_F(LockFileTest, FileOfAnothersIsNotTouched) {
  const auto expect_refused = [&](const char* why) {
    EXPECT_FALSE(LockFile::take(path_, "x")) << why;
    EXPECT_FALSE(holder_of_lock(path_)) << why;
  };
  ASSERT_TRUE(write_file_durably(files_, path_, "precious", {}));
  expect_refused("other content");
  EXPECT_EQ(*read_whole_file(files_, path_, 100), "precious");
  ASSERT_TRUE(files_.remove_file(path_));
  ASSERT_TRUE(write_file_durably(files_, folder_ + "/other", "", {}));
  ASSERT_TRUE(files_.make_symlink("other", path_));
  expect_refused("a link");
  ASSERT_TRUE(files_.remove_file(path_));
  ASSERT_EQ(::link((folder_ + "/other").c_str(), path_.c_str()), 0);
  expect_refused("a second name of another file");
  EXPECT_EQ(*read_whole_file(files_, folder_ + "/other", 100), "");
  ASSERT_TRUE(files_.remove_file(path_));
  ASSERT_TRUE(files_.make_directory(path_, 0700));
  expect_refused("a folder");
}

}  // namespace
}  // namespace standfast::env
