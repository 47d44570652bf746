#include "clone/agent_copy.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "clone/copy_source_support.h"
#include "clone/test_support.h"
#include "env/simulated_disk.h"

namespace standfast::clone {
namespace {

using base::ErrorCode;
using base::Result;
using testing::good_page;
using testing::MemorySource;
using testing::put_file;
using testing::Tree;
using testing::tree_of;

std::string blocks(std::size_t count, char first) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i)
    all += std::string(8192, static_cast<char>(first + static_cast<char>(i)));
  return all;
}

class AgentCopyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(disk_.make_directory("/data", 0700));
    source_.tree = {{"PG_VERSION", "15\n"},
                    {"base", std::nullopt},
                    {"base/5", std::nullopt},
                    {"base/5/1259", blocks(20, 'A')},
                    {"base/5/empty", ""},
                    {"global", std::nullopt},
                    {"global/pg_control", std::string(8192, 'c')},
                    {"pg_tblspc", std::nullopt},
                    {"pg_wal", std::nullopt}};
  }
  static AgentCopyOptions options() {
    AgentCopyOptions options;
    options.places.data_folder = "/data";
    options.streams = 3;
    options.work = {.stretch_bytes = 32768, .small_unit_bytes = 16384, .max_pieces = 4};
    options.direct_from_bytes = 4096;
    return options;
  }
  Result<AgentCopy> copy(const AgentCopyOptions& with = options()) {
    const auto entries = source_.list();
    const OpenCopyStream opener = source_.opener();
    auto copied = copy_from_agent(entries, with, {disk_, stop_, opener});
    if (copied) {
      EXPECT_TRUE(place_control_file(disk_, *copied, with.sync));
    }
    return copied;
  }
  void expect_copied(const AgentCopyOptions& with = options()) {
    const auto copied = copy(with);
    ASSERT_TRUE(copied) << copied.error().message;
    EXPECT_EQ(tree_of(disk_, "/data"), source_.tree);
  }
  bool exists(const std::string& place) { return disk_.inspect(place)->has_value(); }

  env::testing::SimulatedDisk disk_;
  env::StopEvent stop_;
  MemorySource source_;
};

TEST_F(AgentCopyTest, AnEmptyFolderBecomesTheSource) {
  CopyProgress last;
  AgentCopyOptions with = options();
  with.on_progress = [&](const CopyProgress& progress) -> Result<void> {
    last = progress;
    return base::ok();
  };
  const auto copied = copy(with);
  ASSERT_TRUE(copied) << copied.error().message;
  EXPECT_EQ(tree_of(disk_, "/data"), source_.tree);
  ASSERT_EQ(copied->files.size(), 4U);
  for (const CopiedFile& file : copied->files) {
    const std::string& content = *source_.tree.at(file.manifest_path);
    base::Crc32c crc;
    crc.update(base::as_bytes(content));
    EXPECT_EQ(file.size_bytes, content.size());
    EXPECT_EQ(file.crc32c, crc.value()) << file.manifest_path;
  }
  EXPECT_EQ(last.fetched_bytes, last.total_bytes);
  EXPECT_EQ(last.equal_bytes, 0U);
  EXPECT_EQ(last.done_files, 4U);
}

TEST_F(AgentCopyTest, WhatIsEqualIsNotFetchedAgain) {
  expect_copied();
  (*source_.tree["base/5/1259"])[3 * 8192 + 17] = '!';
  const auto copied = copy();
  ASSERT_TRUE(copied) << copied.error().message;
  EXPECT_EQ(tree_of(disk_, "/data"), source_.tree);
  EXPECT_EQ(copied->progress.fetched_bytes, 8192U + 8192U + 3U);  // the run, pg_control, PG_VERSION
  EXPECT_EQ(copied->progress.equal_bytes, 19 * 8192U);
  for (const CopiedFile& file : copied->files) {
    base::Crc32c crc;
    crc.update(base::as_bytes(*source_.tree.at(file.manifest_path)));
    EXPECT_EQ(file.crc32c, crc.value()) << file.manifest_path;
  }
}

TEST_F(AgentCopyTest, WhatIsNotListedGoesAndOurOwnStays) {
  expect_copied();
  put_file(disk_, "/data/base/5/9999", "old");
  put_file(disk_, "/data/backup_label", "old");
  ASSERT_TRUE(disk_.make_directory("/data/base/6", 0700));
  put_file(disk_, "/data/base/6/1", "old");
  ASSERT_TRUE(disk_.make_symlink("/elsewhere", "/data/pg_tblspc/77"));
  // Another kind than the list has.
  ASSERT_TRUE(disk_.remove_file("/data/PG_VERSION"));
  ASSERT_TRUE(disk_.make_directory("/data/PG_VERSION", 0700));
  put_file(disk_, "/data/PG_VERSION/x", "old");
  ASSERT_TRUE(disk_.remove_file("/data/base/5/empty"));
  ASSERT_TRUE(disk_.make_symlink("/elsewhere", "/data/base/5/empty"));
  // Longer, shorter.
  put_file(disk_, "/data/base/5/1259", blocks(25, 'A'));
  put_file(disk_, "/data/.standfast-journal", "ours");
  // An administrator's, as the source's.
  put_file(disk_, "/data/old.standfast", "old");
  source_.tree["pg_hba.conf.standfast"] = "host all all samenet trust";
  put_file(disk_, "/data/pg_wal/000000010000000000000001", "wal");
  const auto copied = copy();
  ASSERT_TRUE(copied) << copied.error().message;
  Tree expected = source_.tree;
  expected[".standfast-journal"] = "ours";
  expected["pg_wal/000000010000000000000001"] = "wal";
  EXPECT_EQ(tree_of(disk_, "/data"), expected);
}

TEST_F(AgentCopyTest, TablespacesAndEntriesElsewhere) {
  for (const char* folder : {"/wal", "/space", "/space/PG_14_1"})
    ASSERT_TRUE(disk_.make_directory(folder, 0700));
  put_file(disk_, "/space/PG_14_1/x", "another cluster's");
  AgentCopyOptions with = options();
  with.places.entry_folders["pg_wal"] = "/wal";
  with.places.tablespaces[16390] = {.folder = "/space", .link_target = "/final"};
  auto entries = source_.list();
  const auto empty = std::find_if(entries.begin(), entries.end(),
                                  [](const auto& entry) { return entry.path == "base/5/empty"; });
  ASSERT_NE(empty, entries.end());
  const std::uint32_t number = empty->number;
  const auto add = [&](agent::EntryKind kind, const std::string& path) {
    entries.push_back({.number = number,
                       .kind = kind,
                       .tablespace_oid = 16390,
                       .mode = 0600,
                       .size_bytes = 0,
                       .path = path});
  };
  add(agent::EntryKind::kFolder, "PG_15_1");
  add(agent::EntryKind::kFile, "PG_15_1/empty");
  const OpenCopyStream opener = source_.opener();
  const auto copied = copy_from_agent(entries, with, {disk_, stop_, opener});
  ASSERT_TRUE(copied) << copied.error().message;
  const Tree there = tree_of(disk_, "/data");
  EXPECT_EQ(there.at("pg_tblspc/16390"), "-> /final");
  EXPECT_FALSE(there.contains("pg_wal"));
  EXPECT_TRUE(exists("/space/PG_15_1/empty"));
  EXPECT_TRUE(exists("/space/PG_14_1/x"));
  EXPECT_TRUE(std::any_of(copied->files.begin(), copied->files.end(), [](const CopiedFile& file) {
    return file.manifest_path == "pg_tblspc/16390/PG_15_1/empty";
  }));
}

TEST_F(AgentCopyTest, AFileThatVanishesOrShrinksIsNoError) {
  for (const bool is_there_already : {false, true}) {
    if (is_there_already) expect_copied();
    source_.tree["base/5/2000"] = blocks(12, 'a');
    source_.tree["base/5/2001"] = blocks(12, 'k');
    const auto entries = source_.list();
    source_.tree.erase("base/5/2000");
    source_.tree["base/5/2001"]->resize(5 * 8192 + 100);
    const OpenCopyStream opener = source_.opener();
    const auto copied = copy_from_agent(entries, options(), {disk_, stop_, opener});
    ASSERT_TRUE(copied) << copied.error().message;
    EXPECT_FALSE(exists("/data/global/pg_control"));
    ASSERT_TRUE(place_control_file(disk_, *copied, SyncFiles::kYes));
    EXPECT_EQ(tree_of(disk_, "/data"), source_.tree);
  }
}

/// Settings that are changed, the state of a replication origin: WAL does not tell of them.
TEST_F(AgentCopyTest, AFileWithoutPagesThatGrewIsCopiedWhole) {
  source_.tree["postgresql.auto.conf"] = "a = 1\n";
  for (const bool is_there_already : {false, true}) {
    if (is_there_already) expect_copied();
    const auto entries = source_.list();
    *source_.tree["postgresql.auto.conf"] += blocks(3, 'b');
    *source_.tree["base/5/empty"] += "no more";
    const OpenCopyStream opener = source_.opener();
    const auto copied = copy_from_agent(entries, options(), {disk_, stop_, opener});
    ASSERT_TRUE(copied) << copied.error().message;
    ASSERT_TRUE(place_control_file(disk_, *copied, SyncFiles::kYes));
    EXPECT_EQ(tree_of(disk_, "/data"), source_.tree);
  }
  const auto entries = source_.list();
  source_.tree["postgresql.auto.conf"] = blocks(200, 'c');
  const OpenCopyStream opener = source_.opener();
  const auto failed = copy_from_agent(entries, options(), {disk_, stop_, opener});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kPrecondition);
  EXPECT_NE(failed.error().message.find("\"postgresql.auto.conf\" grew from "), std::string::npos);
}

TEST_F(AgentCopyTest, AFailureEndsAllAndTheNextRunGoesOn) {
  expect_copied();
  source_.tree["base/5/1259"] = blocks(20, 'a');
  const std::size_t begin = source_.answers();
  source_.before_answer = [&](std::size_t count) -> Result<void> {
    if (count - begin >= 8) return base::Error(ErrorCode::kConnect, "cut off");
    return base::ok();
  };
  const auto failed = copy();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "cut off");
  EXPECT_FALSE(exists("/data/global/pg_control"));
  source_.before_answer = [](std::size_t) { return base::ok(); };
  expect_copied();
}

TEST_F(AgentCopyTest, AStopEndsIt) {
  source_.before_answer = [&](std::size_t) {
    stop_.set();
    return base::ok();
  };
  const auto failed = copy();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kCancelled);
  EXPECT_FALSE(exists("/data/global/pg_control"));
}

TEST_F(AgentCopyTest, OddListsAreRefused) {
  const auto refused = [&](const std::string& path, agent::EntryKind kind, std::uint32_t tablespace) {
    auto entries = source_.list();
    entries.push_back(
        {.number = 100, .kind = kind, .tablespace_oid = tablespace, .mode = 0600, .path = path});
    const OpenCopyStream opener = source_.opener();
    const auto copied = copy_from_agent(entries, options(), {disk_, stop_, opener});
    return !copied && copied.error().code == ErrorCode::kProtocol;
  };
  const auto kFile = agent::EntryKind::kFile;
  const auto kFolder = agent::EntryKind::kFolder;
  EXPECT_TRUE(refused("../x", kFile, 0));
  EXPECT_TRUE(refused("/etc/x", kFile, 0));
  EXPECT_TRUE(refused("PG_VERSION", kFile, 0));
  EXPECT_TRUE(refused("base", kFolder, 0));
  EXPECT_TRUE(refused("PG_VERSION/x", kFile, 0));
  EXPECT_TRUE(refused("nowhere/x", kFile, 0));
  EXPECT_TRUE(refused(".standfast-journal", kFile, 0));
  EXPECT_TRUE(refused("base/a.standfast-tmp", kFile, 0));
  EXPECT_TRUE(refused("backup_manifest", kFile, 0));
  EXPECT_TRUE(refused("pg_wal/000000010000000000000001", kFile, 0));
  EXPECT_TRUE(refused("pg_wal", kFile, 0));
  EXPECT_TRUE(refused("PG_15_1", kFolder, 16390));
  EXPECT_FALSE(refused("base/5/2", kFile, 0));
  source_.tree.erase("global/pg_control");
  EXPECT_TRUE(refused("base/5/3", kFile, 0));
}

TEST_F(AgentCopyTest, TheControlFileCanBeReadBeforeAll) {
  const pg::SystemId system_id(42);
  source_.tree[MemorySource::kControl] = testing::control_file(system_id, pg::DbState::kInProduction);
  const auto entries = source_.list();
  const auto stream = source_.opener()(stop_);
  ASSERT_TRUE(stream);
  const auto control = read_control_file(**stream, entries);
  ASSERT_TRUE(control) << control.error().message;
  EXPECT_EQ(control->system_id, system_id);
  EXPECT_FALSE(read_control_file(**stream, {}));
}

class PagesTest : public AgentCopyTest {
 protected:
  void SetUp() override {
    AgentCopyTest::SetUp();
    std::string pages;
    for (std::uint32_t block = 0; block < 20; ++block)
      pages += good_page(block, static_cast<char>('A' + block));
    source_.tree["base/5/1259"] = pages;
  }
  static AgentCopyOptions with_pages(DamagedPages damaged = DamagedPages::kRefused) {
    AgentCopyOptions with = options();
    with.pages = PageRules{.backup_start = pg::Lsn(0x100000)};
    with.damaged_pages = damaged;
    return with;
  }
};

TEST_F(PagesTest, WhatIsTornOrFlippedOnTheWayIsAskedForAgain) {
  int flips = 3;
  source_.on_the_way = [&](const std::string& path, std::uint64_t, std::string& bytes) {
    if (path == "base/5/1259" && flips-- > 0) bytes[bytes.size() / 2 + 100] = static_cast<char>(flips);
  };
  const auto copied = copy(with_pages());
  ASSERT_TRUE(copied) << copied.error().message;
  EXPECT_EQ(tree_of(disk_, "/data"), source_.tree);
  EXPECT_EQ(copied->damage.count, 0U);
  EXPECT_LT(flips, 0);
}

TEST_F(PagesTest, DamageIsNamedAndRefusedUnlessItIsAllowed) {
  (*source_.tree["base/5/1259"])[7 * 8192 + 4000] = '!';
  for (int run = 0; run < 2; ++run) {  // what is there already is judged as well
    const auto failed = copy(with_pages());
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, ErrorCode::kDamaged);
    EXPECT_NE(failed.error().message.find("\"base/5/1259\" block 7 LSN 0/1000"), std::string::npos)
        << failed.error().message;
    EXPECT_FALSE(exists("/data/global/pg_control"));
  }
  const auto copied = copy(with_pages(DamagedPages::kAllowed));
  ASSERT_TRUE(copied) << copied.error().message;
  EXPECT_EQ(tree_of(disk_, "/data"), source_.tree);
  ASSERT_EQ(copied->damage.count, 1U);
  EXPECT_EQ(copied->damage.named.front().block, 7U);
}

TEST_F(PagesTest, WithoutChecksumsNothingIsJudged) {
  (*source_.tree["base/5/1259"])[7 * 8192 + 4000] = '!';
  expect_copied();
}

}  // namespace
}  // namespace standfast::clone
