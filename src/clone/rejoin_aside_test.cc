#include "clone/rejoin_aside.h"

#include <random>
#include <string>

#include <gtest/gtest.h>

#include "clone/copy_source_support.h"
#include "clone/places.h"
#include "clone/test_support.h"
#include "env/forwarding_file_system.h"
#include "env/simulated_disk.h"

namespace standfast::clone {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using testing::control_file;
using testing::put_file;
using testing::Tree;
using testing::tree_of;

const pg::SystemId kSystem(7);
const pg::Version kVersion(170002);

/// Whose process dies at a change: that one and all later ones fail.
class DyingFileSystem final : public env::testing::ForwardingFileSystem {
 public:
  DyingFileSystem(env::FileSystem& next, std::size_t lives) : ForwardingFileSystem(next), lives_(lives) {}
  bool has_died() const { return lives_ == 0; }

  Result<std::unique_ptr<env::File>> create(const std::string& path, mode_t mode,
                                            env::OnExisting on_existing) override {
    TRY(live());
    return ForwardingFileSystem::create(path, mode, on_existing);
  }
  Result<void> make_directory(const std::string& path, mode_t mode) override {
    TRY(live());
    return ForwardingFileSystem::make_directory(path, mode);
  }
  Result<void> rename_no_replace(const std::string& from, const std::string& to) override {
    TRY(live());
    return ForwardingFileSystem::rename_no_replace(from, to);
  }
  Result<void> rename_over(const std::string& from, const std::string& to) override {
    TRY(live());
    return ForwardingFileSystem::rename_over(from, to);
  }
  Result<void> remove_file(const std::string& path) override {
    TRY(live());
    return ForwardingFileSystem::remove_file(path);
  }
  Result<void> remove_directory(const std::string& path) override {
    TRY(live());
    return ForwardingFileSystem::remove_directory(path);
  }
  Result<void> sync_directory(const std::string& path) override {
    TRY(live());
    return ForwardingFileSystem::sync_directory(path);
  }

 private:
  Result<void> live() {
    if (lives_ == 0) return Error(ErrorCode::kIo, "dead");
    --lives_;
    return base::ok();
  }
  std::size_t lives_;
};

class RejoinAsideTest : public ::testing::Test {
 protected:
  static constexpr const char* kData = "/data";

  void fill(env::testing::SimulatedDisk& disk) {
    for (const char* folder : {"/data", "/data/global", "/data/base", "/wal", "/wal/archive_status"})
      ASSERT_TRUE(disk.make_directory(folder, 0700));
    ASSERT_TRUE(disk.make_symlink("/wal", "/data/pg_wal"));
    for (const auto& [path, content] : old_) {
      auto file = *disk.create(path, 0600, env::OnExisting::kFail);
      ASSERT_TRUE(file->write_at(0, base::as_bytes(content)));
      ASSERT_TRUE(file->sync());
    }
    for (const char* folder : {"/", "/data", "/data/global", "/data/base", "/wal", "/wal/archive_status"})
      ASSERT_TRUE(disk.sync_directory(folder));
  }
  static RejoinJournal journal() { return {.system_id = kSystem, .time = "T1", .wal_folder = "/wal"}; }
  static Result<void> aside(env::FileSystem& files, RejoinJournal journal) {
    return set_aside(files, kData, journal, {}, kVersion);
  }
  void expect_aside(env::FileSystem& files) {
    const auto old = look_at_old_directory(files, kData);
    ASSERT_TRUE(old) << old.error().message;
    EXPECT_TRUE(old->is_in_pieces);
    EXPECT_EQ(old->control.system_id, kSystem);
    EXPECT_EQ(old->old_wal, "/wal/.standfast/old-T1/pg_wal");
    ASSERT_TRUE(old->journal);
    EXPECT_TRUE(old->journal->wal_is_out);
    const Tree data = tree_of(files, kData);
    EXPECT_FALSE(data.contains("global/pg_control"));
    EXPECT_FALSE(data.contains("pg_hba.conf.standfast-T0"));
    const Tree expected = {{".standfast", std::nullopt},
                           {".standfast/old-T1", std::nullopt},
                           {".standfast/old-T1/pg_hba.conf.standfast-T0", "local all all trust\n"},
                           {".standfast/old-T1/pg_control", old_.at("/data/global/pg_control")},
                           {".standfast/old-T1/pg_wal", std::nullopt},
                           {".standfast/old-T1/pg_wal/000000010000000000000001", "wal 1"},
                           {".standfast/old-T1/pg_wal/000000010000000000000002", "wal 2"},
                           {".standfast/old-T1/pg_wal/archive_status", std::nullopt},
                           {".standfast/old-T1/pg_wal/archive_status/000000010000000000000001.done", ""},
                           {".standfast/old-T1/postgresql.conf", "port = 5433\n"},
                           {"archive_status", std::nullopt},
                           {"summaries", std::nullopt}};
    EXPECT_EQ(tree_of(files, "/wal"), expected);
  }

  const std::map<std::string, std::string> old_ = {
      {"/data/PG_VERSION", "15\n"},
      {"/data/postgresql.conf", "port = 5433\n"},
      {"/data/pg_hba.conf.standfast-T0", "local all all trust\n"},
      {"/data/base/1", "rows"},
      {"/data/global/pg_control", control_file(kSystem, pg::DbState::kInProduction)},
      {"/wal/000000010000000000000001", "wal 1"},
      {"/wal/000000010000000000000002", "wal 2"},
      {"/wal/archive_status/000000010000000000000001.done", ""}};
};

TEST_F(RejoinAsideTest, WhatIsTakenOutIsKept) {
  env::testing::SimulatedDisk disk;
  fill(disk);
  const auto before = look_at_old_directory(disk, kData);
  ASSERT_TRUE(before) << before.error().message;
  EXPECT_FALSE(before->is_in_pieces);
  EXPECT_EQ(before->old_wal, "/wal");
  ASSERT_TRUE(aside(disk, journal()));
  expect_aside(disk);
}

TEST_F(RejoinAsideTest, AnotherRunRemovesTheWalThatTheOneBeforeReceived) {
  env::testing::SimulatedDisk disk;
  fill(disk);
  ASSERT_TRUE(aside(disk, journal()));
  put_file(disk, "/wal/000000020000000000000003", "the source's");
  const auto old = look_at_old_directory(disk, kData);
  ASSERT_TRUE(old);
  ASSERT_TRUE(aside(disk, *old->journal));
  expect_aside(disk);
}

TEST_F(RejoinAsideTest, OnceTheSourcesControlFileIsThereItIsOver) {
  env::testing::SimulatedDisk disk;
  fill(disk);
  ASSERT_TRUE(aside(disk, journal()));
  put_file(disk, "/data/global/pg_control", control_file(kSystem, pg::DbState::kShutDown));
  const auto old = look_at_old_directory(disk, kData);
  ASSERT_TRUE(old);
  EXPECT_FALSE(old->journal);
  EXPECT_FALSE(old->is_in_pieces);
  EXPECT_EQ(old->control.state, pg::DbState::kShutDown);
  EXPECT_EQ(old->old_wal, "/wal");
}

TEST_F(RejoinAsideTest, IsGoneOnWithWhereverItWasKilledOrThePowerWasCut) {
  const std::uint64_t seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  bool has_died = true;
  for (std::size_t lives = 0; has_died; ++lives) {
    SCOPED_TRACE(lives);
    ASSERT_LT(lives, 1000U);
    env::testing::SimulatedDisk disk;
    fill(disk);
    DyingFileSystem dying(disk, lives);
    const auto first = aside(dying, journal());
    has_died = dying.has_died() && !first;
    if (random() % 2 == 0) disk.power_cut(random);
    const auto old = look_at_old_directory(disk, kData);
    ASSERT_TRUE(old) << old.error().message;
    EXPECT_EQ(old->control.system_id, kSystem);
    EXPECT_EQ(old->control.state, pg::DbState::kInProduction);
    // While a server could start, all that it needs is there.
    if (!old->is_in_pieces) {
      for (const auto& [path, content] : old_)
        EXPECT_EQ(*env::read_whole_file(disk, path, env::kMaxTextFileBytes), content) << path;
    }
    ASSERT_TRUE(aside(disk, old->journal.value_or(journal())));
    expect_aside(disk);
  }
}

TEST_F(RejoinAsideTest, RefusesWhatIsNotWholeAndWhatItDoesNotKnow) {
  env::testing::SimulatedDisk disk;
  fill(disk);
  ASSERT_TRUE(disk.remove_file("/data/global/pg_control"));
  const auto torn = look_at_old_directory(disk, kData);
  ASSERT_FALSE(torn);
  EXPECT_EQ(torn.error().code, ErrorCode::kTargetRefused);
  put_file(disk, "/data/global/pg_control", control_file(kSystem, pg::DbState::kShutDown));
  ASSERT_TRUE(disk.make_directory("/data/.standfast", 0700));
  RejoinJournal elsewhere = journal();
  elsewhere.wal_folder = "/another";
  ASSERT_TRUE(write_rejoin_journal(disk, kData, elsewhere));
  EXPECT_FALSE(look_at_old_directory(disk, kData));
}

TEST(RejoinJournal, IsReadAsItWasWritten) {
  const RejoinJournal full{.system_id = pg::SystemId(7710978553056627143U),
                           .time = "20260131T120000",
                           .wal_folder = "/mnt/wal",
                           .wal_is_out = true,
                           .tablespaces = {{16385, "/mnt/ts1"}, {16390, "/mnt/ts2"}},
                           .created_slot = "pgstandby1"};
  const auto read = parse_rejoin_journal(text_of(full));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, full);
}

TEST(RejoinJournal, RefusesWhatNoRejoinWrites) {
  const std::string good = text_of({.system_id = kSystem, .time = "T1", .wal_folder = "/wal"});
  ASSERT_TRUE(parse_rejoin_journal(good));
  const auto changed = [&good](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  for (const std::string& text :
       {std::string(), std::string("[]"), changed("\"format\": 1", "\"format\": 2"), changed("T1", "../x"),
        changed("\"/wal\"", "\"wal\""), changed("\"/wal\"", "\"/wal/../etc\""), changed("\"/wal\"", "7"),
        changed("{}", R"({"0": "/x"})"), changed("{}", R"({"1": "x"})"), changed("{}", R"({"a": "/x"})"),
        changed("\"7\"", "\"-7\""), changed("false", "0")}) {
    const auto read = parse_rejoin_journal(text);
    EXPECT_FALSE(read) << text;
    if (!read) {
      EXPECT_EQ(read.error().code, ErrorCode::kProtocol);
    }
  }
}

}  // namespace
}  // namespace standfast::clone
