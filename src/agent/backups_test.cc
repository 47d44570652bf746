#include "agent/backups.h"

#include <thread>

#include <gtest/gtest.h>

#include "agent/session_test_support.h"

namespace standfast::agent {
namespace {

using namespace testing;
using base::ErrorCode;

const BeginBackup kBegin{.label = "a copy", .checkpoint = Checkpoint::kFast};

class BackupsTest : public ::testing::Test {
 protected:
  DataDirectory data_;
  FakeServer server_;
  Backups backups_{{.begin_bracket = server_.factory(), .tree = data_.options(), .max_backups = 2}};
};

TEST_F(BackupsTest, IsFoundByTheSameMemberAlone) {
  const auto backup = *backups_.begin("standby1", kBegin, soon());
  const BackupBegun begun = backup->begun();
  EXPECT_EQ(begun.start, pg::Lsn(0x3000028));
  EXPECT_TRUE(check(Answer(begun)));
  const auto part = backups_.attach("standby1", begun.id);
  ASSERT_TRUE(part);
  EXPECT_EQ(part->lock(), backup->open());
  const auto others = backups_.attach("standby2", begun.id);
  const auto unknown = backups_.attach("standby1", {.high = begun.id.high, .low = begun.id.low + 1});
  ASSERT_FALSE(others);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(others.error().code, ErrorCode::kPrecondition);
  EXPECT_EQ(others.error().message, unknown.error().message);  // nobody learns that there is one
}

TEST_F(BackupsTest, IsNumberedByChance) {
  const auto one = *backups_.begin("standby1", kBegin, soon());
  const auto other = *backups_.begin("standby1", kBegin, soon());
  EXPECT_NE(one->begun().id.high, other->begun().id.high);
  EXPECT_NE(one->begun().id.low, other->begun().id.low);
}

TEST_F(BackupsTest, EndsWithItsOwnerAndGoesAtOnce) {
  auto backup = *backups_.begin("standby1", kBegin, soon());
  const auto part = *backups_.attach("standby1", backup->begun().id);
  const BackupId id = backup->begun().id;
  EXPECT_EQ(server_.open, 1);
  backup.reset();
  EXPECT_EQ(server_.open, 0);
  EXPECT_EQ(server_.ended, 0);
  EXPECT_EQ(part.lock(), nullptr);
  EXPECT_FALSE(backups_.attach("standby1", id));
  EXPECT_EQ(backups_.count(), 0U);
}

TEST_F(BackupsTest, EndsAsItShould) {
  auto backup = *backups_.begin("standby1", kBegin, soon());
  const auto part = *backups_.attach("standby1", backup->begun().id);
  const auto ended = backup->end(soon());
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->stop, pg::Lsn(0x3000100));
  EXPECT_EQ(part.lock(), nullptr);
  EXPECT_EQ(server_.open, 0);
  EXPECT_EQ(server_.ended, 1);
}

TEST_F(BackupsTest, IsLostWithTheServersSession) {
  auto backup = *backups_.begin("standby1", kBegin, soon());
  const BackupId id = backup->begun().id;
  const auto part = *backups_.attach("standby1", id);
  EXPECT_TRUE(backup->check(soon()));
  server_.is_up = false;
  const auto alive = backup->check(soon());
  ASSERT_FALSE(alive);
  EXPECT_EQ(alive.error().code, ErrorCode::kConnect);
  server_.is_up = true;  // a new one, without the backup
  EXPECT_EQ(part.lock(), nullptr);
  EXPECT_FALSE(backups_.attach("standby1", id));
  EXPECT_FALSE(backup->check(soon()));
  EXPECT_FALSE(backup->end(soon()));
  EXPECT_EQ(server_.ended, 0);
}

TEST_F(BackupsTest, AreNoMoreThanMayBe) {
  auto one = *backups_.begin("standby1", kBegin, soon());
  const auto two = *backups_.begin("standby2", kBegin, soon());
  const auto refused = backups_.begin("standby3", kBegin, soon());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConnect);  // what a copy tries again after
  EXPECT_EQ(server_.open, 2);
  one.reset();
  EXPECT_TRUE(backups_.begin("standby3", kBegin, soon()));
}

TEST_F(BackupsTest, ThoseThatBeginAreCountedAndThoseThatFailAreNot) {
  server_.is_slow = true;
  env::StopEvent stop;
  std::jthread beginning([&] {
    for (int i = 0; i < 2; ++i) {
      EXPECT_FALSE(backups_.begin("standby1", kBegin, env::Wait::for_at_most(base::Seconds(120), &stop)));
    }
  });
  ASSERT_TRUE(comes_true([&] { return backups_.count() == 1; }));
  stop.set();
  beginning.join();
  EXPECT_EQ(backups_.count(), 0U);
  server_.is_up = false;
  EXPECT_EQ(backups_.begin("standby1", kBegin, soon()).error().code, ErrorCode::kConnect);
  EXPECT_EQ(backups_.count(), 0U);
}

TEST_F(BackupsTest, ADirectoryThatCannotBeReadLeavesNoBackupBehind) {
  std::filesystem::remove(data_.at("data/PG_VERSION"));
  EXPECT_FALSE(backups_.begin("standby1", kBegin, soon()));
  EXPECT_EQ(server_.open, 0);
  EXPECT_EQ(backups_.count(), 0U);
}

}  // namespace
}  // namespace standfast::agent
