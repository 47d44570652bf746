#include "clone/staging.h"

#include "clone/faulty_file_system.h"
#include "clone/test_support.h"

namespace standfast::clone {
namespace {

using testing::FaultyFileSystem;
using testing::FolderTest;
using Operation = FaultyFileSystem::Operation;

const pg::SystemId kOther(1);

class StagingTest : public FolderTest {
 protected:
  Staging::Options options(OnDataDirectory on_data_directory = OnDataDirectory::kRefuse) {
    return {.target = at("data"), .rules = {.on_data_directory = on_data_directory}};
  }
  /// A staging with a copy in it, two tablespaces and a WAL folder of its own.
  base::Result<Staging> stage(OnDataDirectory on_data_directory = OnDataDirectory::kRefuse) {
    Staging::Options with_wal = options(on_data_directory);
    with_wal.wal_directory = at("wal");
    Staging staging = TRY(Staging::create(faulty_, with_wal));
    put("data.standfast-staging/PG_VERSION", "15\n");
    put("wal/.standfast/new/000000010000000000000001", "wal");
    for (const char* name : {"ts1", "ts2"}) {
      const TablespacePlace place = TRY(staging.add_tablespace(16385, at(name)));
      EXPECT_EQ(place.link_target, at(name));
      put(std::string(name) + "/.standfast/new/PG_15_202209061/5/16390", "table");
    }
    return staging;
  }
  void expect_in_place() {
    EXPECT_EQ(read("data/PG_VERSION"), "15\n");
    EXPECT_EQ(*files_.read_symlink(at("data/pg_wal")), at("wal"));
    EXPECT_EQ(read("wal/000000010000000000000001"), "wal");
    EXPECT_EQ(read("ts1/PG_15_202209061/5/16390"), "table");
    EXPECT_EQ(read("ts2/PG_15_202209061/5/16390"), "table");
    for (const char* rest :
         {"data.standfast-staging", "wal/.standfast", "ts1/.standfast", "data.standfast-clone.json"})
      EXPECT_FALSE(exists(rest)) << rest;
  }
  std::vector<std::string> names() { return *files_.list(folder_); }

  FaultyFileSystem faulty_;
};

TEST_F(StagingTest, EverythingComesToItsPlace) {
  auto staging = stage();
  ASSERT_TRUE(staging) << staging.error().message;
  const auto placed = staging->put_in_place();
  ASSERT_TRUE(placed) << placed.error().message;
  EXPECT_FALSE(placed->old);
  expect_in_place();
}

TEST_F(StagingTest, AnUnfinishedCopyIsTakenUpWithItsFolders) {
  Staging::Options first = options();
  first.wal_directory = at("wal");
  first.copy = JournalCopy{.system_id = kOther, .wal_directory = at("wal"), .begun = "20260131T120000"};
  {
    Staging killed = *Staging::create(faulty_, first);
    put("data.standfast-staging/PG_VERSION", "15\n");
    put("wal/.standfast/new/000000010000000000000001", "of a backup that was not ended");
    for (const char* name : {"ts1", "gone"}) {
      ASSERT_TRUE(killed.add_tablespace(16385, at(name)));
      put(std::string(name) + "/.standfast/new/PG_15_202209061/5/16390", "table");
    }
    ASSERT_TRUE(killed.note_slot({"mine", kOther, "host=h1"}));
  }
  EXPECT_FALSE(Staging::create(faulty_, first));  // without the journal nobody can say whose it is
  Staging::Options again = first;
  again.taken_up = **read_stale_journal(faulty_, at("data"));
  EXPECT_EQ(again.taken_up->copy->begun, "20260131T120000");
  EXPECT_EQ(again.taken_up->slot->conninfo, "host=h1");
  auto staging = Staging::create(faulty_, again);
  ASSERT_TRUE(staging) << staging.error().message;
  EXPECT_EQ(read("data.standfast-staging/PG_VERSION"), "15\n");
  EXPECT_FALSE(exists("wal/.standfast/new/000000010000000000000001"));
  for (const char* name : {"ts1", "ts2"}) ASSERT_TRUE(staging->add_tablespace(16385, at(name)));
  EXPECT_EQ(read("ts1/.standfast/new/PG_15_202209061/5/16390"), "table");
  ASSERT_TRUE(staging->remove_unused());
  EXPECT_FALSE(exists("gone/.standfast"));
  const auto journal = *read_stale_journal(faulty_, at("data"));
  EXPECT_EQ(journal->folders.size(), 4U);
  EXPECT_EQ(journal->slot->name, "mine");
  put("wal/.standfast/new/000000010000000000000001", "wal");
  put("ts2/.standfast/new/PG_15_202209061/5/16390", "table");
  ASSERT_TRUE(staging->put_in_place());
  expect_in_place();
}

TEST_F(StagingTest, AnEmptyTargetIsReplacedByTheCopy) {
  ASSERT_TRUE(files_.make_directory(at("data"), 0700));
  auto staging = stage();
  ASSERT_TRUE(staging);
  ASSERT_TRUE(staging->put_in_place());
  expect_in_place();
}

TEST_F(StagingTest, TheOldDirectoryIsMovedAsideWhole) {
  put_data_directory("data", kOther, pg::DbState::kShutDown);
  auto staging = stage(OnDataDirectory::kReplace);
  ASSERT_TRUE(staging);
  const auto placed = staging->put_in_place();
  ASSERT_TRUE(placed) << placed.error().message;
  expect_in_place();
  EXPECT_EQ(*env::read_whole_file(files_, *placed->old + "/base/5/112", 100), "old data");
}

TEST_F(StagingTest, WhateverRenameFailsTheOldDirectoryIsWhereItWas) {
  // Renames of a placing: the journal, WAL, two tablespaces, the old directory aside, the copy. Each fails in
  // its turn.
  int failed = 0;
  for (int turn = 1;; ++turn) {
    put_data_directory("data", kOther, pg::DbState::kShutDown);
    auto staging = stage(OnDataDirectory::kReplace);
    ASSERT_TRUE(staging) << staging.error().message;
    int renames = 0;
    bool hit = false;
    faulty_.fails = [&](Operation operation, const std::string&) {
      if (operation != Operation::kRename || hit) return false;
      hit = ++renames == turn;
      return hit;
    };
    const auto placed = staging->put_in_place();
    faulty_.fails = [](Operation, const std::string&) { return false; };
    if (placed) {
      EXPECT_FALSE(hit);
      break;
    }
    ++failed;
    EXPECT_EQ(read("data/base/5/112"), "old data") << turn;
    EXPECT_FALSE(exists("ts1/PG_15_202209061")) << turn;
    ASSERT_TRUE(staging->remove());
    EXPECT_EQ(names(), std::vector<std::string>{"data"}) << turn;
  }
  // The journal, archive_status and the segment of the WAL, two tablespaces, aside, the copy.
  EXPECT_EQ(failed, 7);
}

TEST_F(StagingTest, ARunKilledAtAnyStepOfPlacingIsUndoneByTheNext) {
  int undone = 0;
  int placed = 0;
  for (int turn = 1;; ++turn) {
    put_data_directory("data", kOther, pg::DbState::kShutDown);
    auto staging = stage(OnDataDirectory::kReplace);
    ASSERT_TRUE(staging) << staging.error().message;
    // From that step on nothing happens any more, as after a kill.
    int steps = 0;
    faulty_.fails = [&](Operation, const std::string&) { return ++steps >= turn; };
    static_cast<void>(staging->put_in_place());
    faulty_.fails = [](Operation, const std::string&) { return false; };
    auto journal = *read_stale_journal(files_, at("data"));
    if (!journal) break;
    const auto state = undo_swap(files_, at("data"), *journal);
    ASSERT_TRUE(state) << turn << ": " << state.error().message;
    if (*state == PlacementState::kPlaced) {
      ++placed;
      EXPECT_EQ(read("data/PG_VERSION"), "15\n");
      EXPECT_EQ(read("ts2/PG_15_202209061/5/16390"), "table");
    } else {
      ++undone;
      EXPECT_EQ(read("data/base/5/112"), "old data") << turn;
      EXPECT_EQ(read("data.standfast-staging/PG_VERSION"), "15\n") << turn;
      for (const char* name : {"ts1", "ts2", "wal"})
        EXPECT_EQ(*files_.list(at(name)), std::vector<std::string>{".standfast"}) << name << turn;
      EXPECT_FALSE((*read_stale_journal(files_, at("data")))->placement);
      ASSERT_TRUE(Staging::remove_stale(files_, *journal));
      ASSERT_TRUE(remove_journal(files_, at("data"), *journal));
      EXPECT_EQ(names(), (std::vector<std::string>{"data", "ts1", "ts2", "wal"})) << turn;
    }
    TearDown();
    SetUp();
  }
  EXPECT_GE(undone, 7);
  EXPECT_GE(placed, 1);
}

TEST_F(StagingTest, AFailedFsyncAfterTheRenamesTakesNothingBack) {
  put_data_directory("data", kOther, pg::DbState::kShutDown);
  auto staging = stage(OnDataDirectory::kReplace);
  ASSERT_TRUE(staging);
  faulty_.fails = [&](Operation operation, const std::string& path) {
    return operation == Operation::kSync && path == folder_ && exists("data") &&
           !exists("data.standfast-staging");
  };
  const auto placed = staging->put_in_place();
  ASSERT_TRUE(placed) << placed.error().message;
  EXPECT_TRUE(placed->unfinished);
  ASSERT_TRUE(staging->remove());
  EXPECT_EQ(read("data/PG_VERSION"), "15\n");
  EXPECT_EQ(read("ts1/PG_15_202209061/5/16390"), "table");
  EXPECT_EQ(*env::read_whole_file(files_, *placed->old + "/base/5/112", 100), "old data");
}

TEST_F(StagingTest, TheSecondOfTwoRunsTouchesNothingOfTheFirst) {
  auto first = stage();
  ASSERT_TRUE(first);
  ASSERT_TRUE(files_.rename_over(at("data.standfast-staging"), at("elsewhere")));
  const auto second = Staging::create(files_, options());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, base::ErrorCode::kInUse);
  EXPECT_TRUE(exists("data.standfast-clone.json"));
}

TEST_F(StagingTest, AJournalCannotRenameWhatNoCloneRenames) {
  auto staging = stage();
  ASSERT_TRUE(staging);
  const Journal good = **read_stale_journal(files_, at("data"));
  const auto is_refused = [&](const Journal& journal) {
    EXPECT_TRUE(write_journal(files_, at("data"), journal));
    return !read_stale_journal(files_, at("data"));
  };
  Journal journal = good;
  for (const char* time : {"", "..", "/etc", "x/../../etc"}) {
    journal.placement = JournalPlacement{.time = time};
    EXPECT_TRUE(is_refused(journal)) << time;
  }
  const SwapRoot roots[] = {{.folder = at("ts1"), .incoming = {"../x"}},
                            {.folder = at("ts1"), .outgoing = {".."}},
                            {.folder = at("ts1"), .outgoing = {std::string("x\0y", 3)}},
                            {.folder = at("ts1"), .old_entry = "pg_tblspc/../../x"},
                            {.folder = at("ts1"), .old_entry = ".."},
                            {.folder = "/etc", .incoming = {"passwd"}}};
  for (const SwapRoot& root : roots) {
    journal.placement = JournalPlacement{.time = "1", .roots = {root}};
    EXPECT_TRUE(is_refused(journal)) << root.folder << root.old_entry;
  }
  journal.placement = JournalPlacement{.time = "1", .roots = {{.folder = at("ts1"), .incoming = {"x"}}}};
  EXPECT_FALSE(is_refused(journal));
  journal = good;
  for (const auto& [path, to] : {std::pair<std::string, std::string>("/etc", "/x"),
                                 {at("data.standfast-old-/../x"), "/x"},
                                 {at("data.standfast-old-1"), "x"},
                                 {at("data.standfast-old-1"), "/x/../y"}}) {
    journal.old = JournalOld{path, to};
    EXPECT_TRUE(is_refused(journal)) << path << to;
  }
}

TEST_F(StagingTest, RemovingLeavesNothing) {
  ASSERT_TRUE(files_.make_directory(at("ts1"), 0700));
  auto staging = stage();
  ASSERT_TRUE(staging);
  ASSERT_TRUE(staging->remove());
  EXPECT_EQ(names(), std::vector<std::string>{"ts1"}) << "it was there before";
  EXPECT_TRUE(files_.list(at("ts1"))->empty());
}

TEST_F(StagingTest, AFailureWhileMakingTheFoldersLeavesNothing) {
  for (const char* fails_at : {"/data.standfast-staging", "/pg_wal/archive_status", ".standfast-tmp"}) {
    faulty_.fails = [&](Operation operation, const std::string& path) {
      return operation != Operation::kRename && operation != Operation::kRemove && path.ends_with(fails_at);
    };
    EXPECT_FALSE(Staging::create(faulty_, options()));
    EXPECT_TRUE(names().empty()) << fails_at;
  }
}

TEST_F(StagingTest, ATargetThatFilledUpMeanwhileIsLeftAlone) {
  auto staging = stage();
  ASSERT_TRUE(staging);
  put("data/precious", "content");
  EXPECT_FALSE(staging->put_in_place());
  EXPECT_EQ(read("data/precious"), "content");
  EXPECT_FALSE(exists("ts1/PG_15_202209061"));
}

TEST_F(StagingTest, AFolderOfThatNameThatNoJournalKnowsIsNotTouched) {
  put("data.standfast-staging/precious", "content");
  EXPECT_FALSE(Staging::create(faulty_, options()));
  EXPECT_EQ(read("data.standfast-staging/precious"), "content");
}

TEST_F(StagingTest, TheNextRunRemovesWhatAKilledOneLeft) {
  auto staging = stage();
  ASSERT_TRUE(staging);
  ASSERT_TRUE(staging->note_slot({"s1", kOther}));
  EXPECT_TRUE(*read_stale_journal(files_, at("data"))) << "it is this process's own";
  const auto journal = *read_stale_journal(files_, at("data"));
  EXPECT_EQ(journal->slot->name, "s1");
  EXPECT_EQ(journal->slot->system_id, kOther);
  ASSERT_TRUE(Staging::remove_stale(files_, *journal));
  ASSERT_TRUE(remove_journal(files_, at("data"), *journal));
  EXPECT_EQ(names(), (std::vector<std::string>{"ts1", "ts2", "wal"})) << "empty folders, which no run minds";
}

TEST_F(StagingTest, ASlotThatCouldNotBeDroppedStaysInTheJournal) {
  auto staging = stage();
  ASSERT_TRUE(staging);
  ASSERT_TRUE(staging->note_slot({"s1", kOther}));
  ASSERT_TRUE(staging->remove());
  const auto journal = *read_stale_journal(files_, at("data"));
  ASSERT_TRUE(journal);
  EXPECT_TRUE(journal->folders.empty());
  EXPECT_EQ(journal->slot->name, "s1");
}

TEST_F(StagingTest, AJournalCannotNameFoldersOfOthers) {
  for (const std::string& folder : std::vector<std::string>{
           "/etc", "/home/x/data", "/tmp/../etc/x.standfast-staging", "x.standfast-staging", "/x/.standfast",
           "/x/.standfast/old-1", std::string("/etc\0/x.standfast-staging", 26)}) {
    Journal journal = *new_journal(files_, Placing::kBeside);
    journal.folders = {folder};
    ASSERT_TRUE(write_journal(files_, at("data"), journal));
    EXPECT_FALSE(read_stale_journal(files_, at("data"))) << folder;
  }
}

TEST_F(StagingTest, AJournalWithWhatIsNoNumberOrNameOfASlotIsRefused) {
  const auto parse = [&](const std::string& process, const std::string& slot) {
    return parse_journal(R"({"format": 2, "process": )" + process +
                             R"(, "process_start": "1", "folders": [], "slot": {"name": ")" + slot +
                             R"(", "system_id": "7"}})",
                         at("data"), Placing::kInside);
  };
  const auto good = parse("7", "s1");
  ASSERT_TRUE(good);
  EXPECT_EQ(good->placing, Placing::kInside);
  EXPECT_EQ(parse_journal(text_of(*good), at("data"), Placing::kInside)->slot->name, "s1");
  for (const char* process : {"-1", "1e300", "4294967296", "\"7\"", "null"})
    EXPECT_FALSE(parse(process, "s1")) << process;
  for (const char* slot : {"", "s1; DROP", "\\u0000"}) EXPECT_FALSE(parse("7", slot)) << slot;
}

TEST_F(StagingTest, AJournalCannotNameALoginOfOthers) {
  Journal journal = *new_journal(files_, Placing::kBeside);
  journal.copy =
      JournalCopy{.system_id = kOther, .begun = "1", .slot = "s1", .login_files = {"s1.crt", "s1.pgpass"}};
  const auto parse = [&] { return parse_journal(text_of(journal), at("data"), Placing::kBeside); };
  const auto good = parse();
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->copy->login_files, journal.copy->login_files);
  for (const char* name : {"", "..", "s2.pgpass", "s1", "ca/members.json", "s1./../primary.pgpass"}) {
    journal.copy->login_files = {"s1.crt", name};
    EXPECT_FALSE(parse()) << name;
  }
  journal.copy->login_files = {"s1.crt"};
  journal.copy->slot.reset();
  EXPECT_FALSE(parse());
}

TEST_F(StagingTest, AJournalOfALivingRunIsInUse) {
  Journal journal = *new_journal(files_, Placing::kBeside);
  journal.process = getppid();
  journal.process_start = "1";
  ASSERT_TRUE(write_journal(files_, at("data"), journal));
  EXPECT_TRUE(*read_stale_journal(files_, at("data"))) << "the number is another process's by now";
  const std::string stat =
      *env::read_whole_file(files_, "/proc/" + std::to_string(getppid()) + "/stat", 4096);
  // The fields after the name begin with the third.
  std::string rest = stat.substr(stat.rfind(')') + 2);
  for (int i = 3; i < 22; ++i) rest = rest.substr(rest.find(' ') + 1);
  journal.process_start = rest.substr(0, rest.find(' '));
  ASSERT_TRUE(write_journal(files_, at("data"), journal));
  const auto stale = read_stale_journal(files_, at("data"));
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().code, base::ErrorCode::kInUse);
}

}  // namespace
}  // namespace standfast::clone
