#include "clone/old_directory.h"

#include <cerrno>

#include <fmt/format.h>
#include <unistd.h>

#include "clone/faulty_file_system.h"
#include "clone/test_support.h"

namespace standfast::clone {
namespace {

using testing::FaultyFileSystem;
using testing::FolderTest;
using Operation = FaultyFileSystem::Operation;

class OldDirectoryTest : public FolderTest {
 protected:
  // In memory where that is possible: thousands of files are made durable.
  OldDirectoryTest() {
    if (access("/dev/shm", W_OK) == 0) parent_ = "/dev/shm";
  }

  /// What a clone leaves when its copy is in place and the old directory has still to be moved.
  void put_old() {
    put_data_directory("data", pg::SystemId(2), pg::DbState::kInArchiveRecovery);
    put_data_directory("data.standfast-old-1", pg::SystemId(1), pg::DbState::kShutDown);
    ASSERT_TRUE(files_.set_mode(at("data.standfast-old-1"), 0750));
    ASSERT_TRUE(files_.make_symlink("/elsewhere", at("data.standfast-old-1/pg_wal")));
    put("data.standfast-old-1/base/5/large", std::string(3'000'000, 'x'));
    put("data.standfast-old-1/empty", "");
    Journal journal = *new_journal(files_, Placing::kBeside);
    journal.old = JournalOld{at("data.standfast-old-1"), at("kept")};
    ASSERT_TRUE(create_journal(files_, at("data"), journal));
  }
  base::Result<void> move() {
    auto journal = TRY(read_stale_journal(faulty_, at("data")));
    if (!journal) return base::ok();
    base::NullReporter reporter;
    return move_old({faulty_, stop_, reporter}, at("data"), *journal);
  }
  /// A disk of its own: no rename leads there.
  void keep_on_another_disk() {
    faulty_.rename_errno = [this](const std::string& from, const std::string& to) {
      return from == at("data.standfast-old-1") && to == at("kept") ? EXDEV : 0;
    };
  }

  std::string incoming() const {
    return "kept/" + env::base_name_of(incoming_of({at("data.standfast-old-1"), at("kept")}));
  }

  FaultyFileSystem faulty_;
  const env::StopEvent stop_;
};

TEST_F(OldDirectoryTest, ADiskThatIsNotMountedAnyMoreHasNotGotIt) {
  put_old();
  Journal journal = **read_stale_journal(files_, at("data"));
  journal.old->copied = true;
  ASSERT_TRUE(write_journal(files_, at("data"), journal));
  ASSERT_TRUE(files_.make_directory(at("kept"), 0700));
  const auto before = tree("data.standfast-old-1");
  const auto moved = move();
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().code, base::ErrorCode::kTargetRefused);
  EXPECT_EQ(tree("data.standfast-old-1"), before);
  EXPECT_TRUE(exists("data.standfast-clone.json")) << "the next run goes on";
}

TEST_F(OldDirectoryTest, WhatAnotherCloneMovesThereIsLeftAlone) {
  put_old();
  keep_on_another_disk();
  ASSERT_TRUE(files_.make_directory(at("kept"), 0700));
  ASSERT_TRUE(files_.make_directory(at("kept/.standfast-incoming-1"), 0700));
  ASSERT_FALSE(move());
  EXPECT_TRUE(exists("kept/.standfast-incoming-1") && exists("data.standfast-old-1/PG_VERSION"));
}

TEST_F(OldDirectoryTest, OnTheSameDiskItIsRenamed) {
  put_old();
  const auto inode = (*files_.inspect(at("data.standfast-old-1")))->inode;
  ASSERT_TRUE(move());
  EXPECT_EQ((*files_.inspect(at("kept")))->inode, inode);
  EXPECT_FALSE(exists("data.standfast-old-1") || exists("data.standfast-clone.json"));
}

TEST_F(OldDirectoryTest, AnEmptyFolderGivesWay) {
  put_old();
  ASSERT_TRUE(files_.make_directory(at("kept"), 0755));
  ASSERT_TRUE(move());
  EXPECT_EQ(read("kept/base/5/112"), "old data");
  EXPECT_FALSE(exists("data.standfast-old-1"));
}

TEST_F(OldDirectoryTest, OnAnotherDiskItIsCopiedWithItsModesAndLinks) {
  put_old();
  keep_on_another_disk();
  auto before = tree("data.standfast-old-1");
  const auto moved = move();
  ASSERT_TRUE(moved) << moved.error().message;
  const auto after = tree("kept");
  ASSERT_EQ(before.size(), after.size());
  for (const auto& [name, content] : before)
    EXPECT_EQ(after.at("kept" + name.substr(std::string("data.standfast-old-1").size())), content) << name;
  EXPECT_FALSE(exists("data.standfast-old-1") || exists("data.standfast-clone.json"));
}

TEST_F(OldDirectoryTest, KilledAtAnyCallItIsWholeSomewhereAndTheNextRunGoesOn) {
  for (int turn = 1;; ++turn) {
    TearDown();
    SetUp();
    put_old();
    keep_on_another_disk();
    int calls = 0;
    faulty_.fails = [&](Operation, const std::string&) { return ++calls >= turn; };
    static_cast<void>(move());
    faulty_.fails = [](Operation, const std::string&) { return false; };
    if (calls < turn) {
      EXPECT_GT(turn, 20);
      break;
    }
    const bool whole_there = read("kept/base/5/112") == "old data" && exists("kept/base/5/large");
    const bool whole_here = read("data.standfast-old-1/base/5/112") == "old data";
    const bool whole_between = read(incoming() + "/base/5/112") == "old data";
    EXPECT_TRUE(whole_there || whole_here || whole_between) << turn;
    const auto moved = move();
    ASSERT_TRUE(moved) << turn << ": " << moved.error().message;
    const bool is_kept = exists("kept/PG_VERSION");
    EXPECT_NE(is_kept, exists("data.standfast-old-1")) << turn;
    EXPECT_FALSE(exists(incoming()) || exists("data.standfast-clone.json")) << turn;
    EXPECT_EQ(read("data/base/5/112"), "old data") << "the new one has nothing to do with it";
  }
}

TEST_F(OldDirectoryTest, AFailureLeavesItWhereItIs) {
  put_old();
  keep_on_another_disk();
  const auto before = tree("data.standfast-old-1");
  bool failed = false;
  faulty_.fails = [&](Operation operation, const std::string& path) {
    const bool fails = operation == Operation::kCreate && path.ends_with("/large");
    failed = failed || fails;
    return fails;
  };
  const auto moved = move();
  ASSERT_FALSE(moved);
  EXPECT_TRUE(failed);
  EXPECT_EQ(moved.error().code, base::ErrorCode::kDiskFull);
  EXPECT_NE(moved.error().hint.find(at("data.standfast-old-1")), std::string::npos);
  EXPECT_EQ(tree("data.standfast-old-1"), before);
  EXPECT_FALSE(exists(incoming()) || exists("data.standfast-clone.json"));
}

TEST_F(OldDirectoryTest, AnInterruptionIsContinuedByTheNextRun) {
  put_old();
  keep_on_another_disk();
  env::StopEvent stop;
  stop.set();
  base::NullReporter reporter;
  auto journal = *read_stale_journal(files_, at("data"));
  const auto moved = move_old({faulty_, stop, reporter}, at("data"), *journal);
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().code, base::ErrorCode::kCancelled);
  EXPECT_TRUE(exists("data.standfast-clone.json"));
  ASSERT_TRUE(move());
  EXPECT_EQ(read("kept/base/5/112"), "old data");
}

TEST_F(OldDirectoryTest, APlaceThatCannotBeOneIsRefused) {
  put_old();
  put("full/notes", "precious");
  put("file", "");
  const auto code_of = [&](const std::string& place) {
    const auto checked = check_place_for_old(files_, place, at("data"));
    return checked ? base::ErrorCode::kFailed : checked.error().code;
  };
  for (const char* place : {"relative", "/", "/a/../b", "/a/"})
    EXPECT_EQ(code_of(place), base::ErrorCode::kUsage) << place;
  for (const char* name : {"full", "file", "data", "data/inside", "missing/kept"})
    EXPECT_EQ(code_of(at(name)), base::ErrorCode::kTargetRefused) << name;
  EXPECT_EQ(code_of(folder_), base::ErrorCode::kTargetRefused) << "around the data directory";
  EXPECT_EQ(code_of(at("kept")), base::ErrorCode::kFailed);
}

}  // namespace
}  // namespace standfast::clone
