#include "clone/target.h"

#include <sys/wait.h>
#include <unistd.h>

#include "base/time.h"
#include "clone/faulty_file_system.h"
#include "clone/journal.h"
#include "clone/outside.h"
#include "clone/test_support.h"

namespace standfast::clone {
namespace {

using base::ErrorCode;
using testing::FolderTest;

const pg::SystemId kSource(7710978553056627143);
const pg::SystemId kOther(1);

class TargetTest : public FolderTest {
 protected:
  base::Result<TargetState> inspect(const std::string& name, const TargetRules& rules = {}) {
    return inspect_target(files_, at(name), rules);
  }
  ErrorCode code_of(const std::string& name, const TargetRules& rules = {}) {
    auto state = inspect(name, rules);
    return state ? ErrorCode::kFailed : state.error().code;
  }
};

const TargetRules kReplace{.on_data_directory = OnDataDirectory::kReplace, .source = kSource};

TEST_F(TargetTest, MissingAndEmptyAreTaken) {
  EXPECT_EQ(inspect("new")->kind, TargetKind::kMissing);
  ASSERT_TRUE(files_.make_directory(at("empty"), 0700));
  EXPECT_EQ(inspect("empty")->kind, TargetKind::kEmpty);
}

TEST_F(TargetTest, WhatIsNoDataDirectoryIsNeverMoved) {
  put("home/file", "precious");
  EXPECT_EQ(code_of("home", kReplace), ErrorCode::kTargetRefused);
  EXPECT_EQ(code_of("home/file", kReplace), ErrorCode::kTargetRefused);
}

TEST_F(TargetTest, ADataDirectoryIsTakenOnlyWithReplace) {
  put_data_directory("data", kOther, pg::DbState::kShutDown);
  EXPECT_EQ(code_of("data"), ErrorCode::kTargetRefused);
  const auto state = inspect("data", kReplace);
  ASSERT_TRUE(state) << state.error().message;
  EXPECT_EQ(state->kind, TargetKind::kDataDirectory);
  EXPECT_EQ(state->control->system_id, kOther);
}

TEST_F(TargetTest, ThePrimaryIsRefusedInEveryStateOfIt) {
  for (const auto db_state :
       {pg::DbState::kInProduction, pg::DbState::kShutDown, pg::DbState::kInCrashRecovery,
        pg::DbState::kShuttingDown, pg::DbState::kStartup}) {
    put_data_directory("data", kSource, db_state);
    EXPECT_EQ(code_of("data", kReplace), ErrorCode::kTargetRefused) << pg::describe(db_state);
  }
}

TEST_F(TargetTest, AStandbyOfTheSourceIsReplaced) {
  for (const auto db_state : {pg::DbState::kInArchiveRecovery, pg::DbState::kShutDownInRecovery}) {
    put_data_directory("data", kSource, db_state);
    EXPECT_TRUE(inspect("data", kReplace)) << pg::describe(db_state);
  }
  // Copied, and not started yet.
  put_data_directory("data", kSource, pg::DbState::kInProduction);
  put("data/standby.signal", "");
  EXPECT_TRUE(inspect("data", kReplace));
}

TEST_F(TargetTest, ALinkIntoADataDirectoryIsSeenThrough) {
  put_data_directory("primary", kSource, pg::DbState::kInProduction);
  ASSERT_TRUE(files_.make_symlink(at("primary/base"), at("link")));
  EXPECT_EQ(code_of("link/new"), ErrorCode::kTargetRefused);
  EXPECT_EQ(code_of("link/missing/new"), ErrorCode::kTargetRefused);
}

TEST_F(TargetTest, AnUnfinishedCopyIsReplaced) {
  put("data/PG_VERSION", "15\n");
  EXPECT_TRUE(inspect("data", kReplace));
  put("data/global/pg_control", "half a control file");
  EXPECT_TRUE(inspect("data", kReplace));
}

TEST_F(TargetTest, ARunningServerIsRefusedOrReported) {
  put_data_directory("data", kOther, pg::DbState::kInProduction);
  const pid_t child = fork();
  if (child == 0) {
    // What a postmaster does first: it works in its data directory.
    if (chdir(at("data").c_str()) != 0) _exit(1);
    pause();
    _exit(0);
  }
  put("data/postmaster.pid", std::to_string(child) + "\n" + at("data") + "\n");
  const std::string proc = "/proc/" + std::to_string(child) + "/cwd";
  const auto until = base::Deadline::after(base::Seconds(60));
  while (*files_.real_path(proc) != at("data") && !until.passed()) usleep(10'000);

  EXPECT_EQ(code_of("data", kReplace), ErrorCode::kInUse);
  TargetRules report = kReplace;
  report.on_running_server = OnRunningServer::kReport;
  EXPECT_EQ(inspect("data", report)->running_server, child);

  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_FALSE(inspect("data", kReplace)->running_server) << "the process is gone";
  // Another process got the number: this one, which works elsewhere.
  put("data/postmaster.pid", std::to_string(getpid()) + "\n" + at("data") + "\n");
  EXPECT_FALSE(inspect("data", kReplace)->running_server);
}

TEST_F(TargetTest, InsideAndAroundAnotherDataDirectoryAreRefused) {
  put_data_directory("data", kOther, pg::DbState::kShutDown);
  EXPECT_EQ(code_of("data/base/new"), ErrorCode::kTargetRefused);
  EXPECT_EQ(code_of("data/new/deeper", kReplace), ErrorCode::kTargetRefused);
  put("outer/PG_VERSION", "15\n");
  put_data_directory("outer/inner", kOther, pg::DbState::kShutDown);
  EXPECT_EQ(code_of("outer", kReplace), ErrorCode::kTargetRefused);
}

TEST_F(TargetTest, ALinkStandsForTheDirectoryItLeadsTo) {
  ASSERT_TRUE(files_.make_directory(at("real"), 0700));
  ASSERT_TRUE(files_.make_symlink(at("real"), at("link")));
  ASSERT_TRUE(files_.make_symlink(at("nowhere"), at("dangling")));
  EXPECT_EQ(*resolve_target(files_, at("link")), at("real"));
  EXPECT_EQ(*resolve_target(files_, at("real/../missing/")), at("missing"));
  EXPECT_EQ(resolve_target(files_, at("dangling")).error().code, ErrorCode::kTargetRefused);
  EXPECT_EQ(code_of("link", kReplace), ErrorCode::kTargetRefused) << "one that came to be in between";
  EXPECT_EQ(inspect_target(files_, "/", kReplace).error().code, ErrorCode::kTargetRefused);
}

TEST_F(TargetTest, LinkToADirectoryThatAKilledRunMovedAsideIsFollowed) {
  ASSERT_TRUE(files_.make_directory(at("disk"), 0700));
  ASSERT_TRUE(files_.make_symlink("disk", at("to_disk")));
  ASSERT_TRUE(files_.make_symlink("to_disk/data", at("link")));
  ASSERT_TRUE(files_.make_symlink(at("link"), at("link_to_link")));
  ASSERT_TRUE(files_.make_symlink(at("circle"), at("circle")));
  Journal journal = *new_journal(files_, Placing::kBeside);
  ASSERT_TRUE(write_journal(files_, at("disk/data"), journal));
  EXPECT_FALSE(resolve_target(files_, at("link"))) << "that run had moved nothing";
  journal.placement = JournalPlacement{.time = "1", .has_old = true};
  ASSERT_TRUE(write_journal(files_, at("disk/data"), journal));
  for (const char* link : {"link", "link_to_link"})
    EXPECT_EQ(*resolve_target(files_, at(link)), at("disk/data"));
  EXPECT_FALSE(resolve_target(files_, at("circle")));
}

TEST_F(TargetTest, WhatIsMountedDecidesWhereTheCopyIsMade) {
  testing::FaultyFileSystem mounted;
  mounted.mountinfo = at("mountinfo");
  const auto inspect_with = [&](const std::vector<std::string>& names, const std::string& target) {
    std::string text;
    for (const std::string& name : names) text += "90 28 8:2 / " + at(name) + " rw - xfs /dev/sda2 rw\n";
    put("mountinfo", text);
    return inspect_target(mounted, at(target), kReplace);
  };
  put_data_directory("data", kOther, pg::DbState::kShutDown);
  put("data/pg_wal/000000010000000000000001", "");
  ASSERT_TRUE(files_.make_directory(at("empty"), 0700));
  ASSERT_TRUE(files_.make_directory(at("prepared"), 0700));
  ASSERT_TRUE(files_.make_directory(at("prepared/pg_wal"), 0700));

  EXPECT_EQ(inspect_with({"elsewhere"}, "data")->placing(), Placing::kBeside);
  EXPECT_EQ(inspect_with({"data"}, "data")->placing(), Placing::kInside);
  EXPECT_EQ(inspect_with({"empty"}, "empty")->placing(), Placing::kInside);
  EXPECT_EQ(inspect_with({}, "empty")->placing(), Placing::kBeside);
  const auto with_wal = inspect_with({"data/pg_wal"}, "data");
  ASSERT_TRUE(with_wal) << with_wal.error().message;
  EXPECT_EQ(with_wal->placing(), Placing::kInside);
  EXPECT_EQ(with_wal->mounted_entries, std::vector<std::string>{"pg_wal"});
  EXPECT_EQ(folder_of_bulk(*with_wal), at("data"));
  EXPECT_EQ(folder_of_bulk(*inspect_with({"data/base"}, "data")), at("data/base"));
  EXPECT_EQ(folder_of_bulk(*inspect_with({}, "data")), folder_);
  const auto prepared = inspect_with({"prepared/pg_wal"}, "prepared");
  ASSERT_TRUE(prepared) << "an empty disk for the WAL: " << prepared.error().message;
  EXPECT_EQ(prepared->kind, TargetKind::kEmpty);
  EXPECT_FALSE(inspect_with({}, "prepared")) << "a folder that is no disk is something in it";
  for (const char* unfit : {"data/base/5", "data/global", "data/PG_VERSION", "data/global/pg_control"})
    EXPECT_FALSE(inspect_with({unfit}, "data")) << unfit;
}

TEST_F(TargetTest, WhatIsKeptInsideCountsAsNothing) {
  put("data/.standfast/old-20260131T120000/PG_VERSION", "15\n");
  const auto state = inspect("data");
  ASSERT_TRUE(state) << state.error().message;
  EXPECT_EQ(state->kind, TargetKind::kEmpty);
  EXPECT_EQ(state->placing(), Placing::kInside) << "it must not be taken away";
}

TEST_F(TargetTest, AFolderOutsideMustBeMissingOrEmpty) {
  const auto inspect_outside = [&](const std::string& path) {
    auto state = inspect_outside_folder(files_, {path, at("data"), "--waldir"}, {});
    return state ? base::Result<OutsideKind>(state->kind) : base::Result<OutsideKind>(state.error());
  };
  EXPECT_EQ(*inspect_outside(at("new")), OutsideKind::kMissing);
  ASSERT_TRUE(files_.make_directory(at("empty"), 0700));
  EXPECT_EQ(*inspect_outside(at("empty")), OutsideKind::kEmpty);
  put("disk/lost+found", "");
  EXPECT_EQ(*inspect_outside(at("disk")), OutsideKind::kEmpty);
  put("full/file", "precious");
  EXPECT_FALSE(inspect_outside(at("full")));
  EXPECT_FALSE(inspect_outside("relative"));
  EXPECT_FALSE(inspect_outside(at("data/pg_wal_elsewhere")));
  EXPECT_FALSE(inspect_outside(folder_)) << "around the data directory";
  ASSERT_TRUE(files_.make_directory(at("data"), 0700));
  ASSERT_TRUE(files_.make_directory(at("data/x"), 0700));
  ASSERT_TRUE(files_.make_symlink(at("data/x"), at("way_in")));
  EXPECT_FALSE(inspect_outside(at("way_in"))) << "a link into the data directory";
}

TEST_F(TargetTest, AFolderOfTheOldDirectoryIsTakenWithWhatIsItsOwn) {
  put_data_directory("data", kOther, pg::DbState::kShutDown);
  put("ts/PG_15_202209061/5/1", "");
  put("ts/PG_12_201909212/5/1", "another server's");
  put("wal/000000010000000000000001", "");
  put("wal/archive_status/000000010000000000000001.done", "");
  put("data/pg_tblspc/note", "");
  ASSERT_TRUE(files_.make_symlink(at("ts"), at("data/pg_tblspc/16385")));
  ASSERT_TRUE(files_.make_symlink(at("nowhere"), at("data/pg_tblspc/16386")));
  ASSERT_TRUE(files_.make_symlink(at("wal"), at("data/pg_wal")));
  const OldLinks links = *old_links_of(files_, *inspect("data", kReplace));
  EXPECT_EQ(links.entries.size(), 2U);

  const auto look = [&](const std::string& name) {
    return inspect_outside_folder(files_, {at(name), at("data"), "the folder"}, links);
  };
  EXPECT_EQ(look("ts")->old_entry, "pg_tblspc/16385");
  EXPECT_EQ(look("ts")->outgoing, std::vector<std::string>{"PG_15_202209061"});
  EXPECT_EQ(look("wal")->outgoing.size(), 2U);
  put("ts/notes", "precious");
  put("wal/notes", "precious");
  EXPECT_FALSE(look("ts"));
  EXPECT_FALSE(look("wal"));
  EXPECT_FALSE(inspect_outside_folder(files_, {at("ts"), at("data"), "the folder"}, {})) << "without links";
}

}  // namespace
}  // namespace standfast::clone
