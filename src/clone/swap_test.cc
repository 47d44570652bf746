#include "clone/swap.h"

#include <fmt/format.h>
#include <unistd.h>

#include "clone/faulty_file_system.h"
#include "clone/interrupted.h"
#include "clone/staging.h"
#include "clone/test_support.h"

namespace standfast::clone {
namespace {

using testing::FaultyFileSystem;
using testing::FolderTest;
using Operation = FaultyFileSystem::Operation;
using Tree = std::map<std::string, std::string>;

const pg::SystemId kOld(1);
const pg::SystemId kNew(2);

/// An old data directory with a WAL disk mounted in it (inside) or its WAL elsewhere (beside), and with two
/// tablespaces, one of which the new one uses too; and a copy that is to take its place.
class SwapTest : public FolderTest, public ::testing::WithParamInterface<Placing> {
 protected:
  // In memory where that is possible: thousands of files are made durable.
  SwapTest() {
    if (access("/dev/shm", W_OK) == 0) parent_ = "/dev/shm";
  }
  bool inside() const { return GetParam() == Placing::kInside; }
  std::string wal() const { return inside() ? "data/pg_wal" : "wal"; }

  void put_old() {
    put_data_directory("data", kOld, pg::DbState::kShutDown);
    ASSERT_TRUE(files_.set_mode(at("data"), 0750));
    put("data/postgresql.auto.conf", "old");
    put("data/.standfast/rejoin.json", "of a rejoin that did not end");
    put(wal() + "/000000010000000000000009", "old");
    put("ts1/PG_15_202209061/5/16390", "old");
    put("ts1/PG_12_201909212/5/16390", "another server's");
    put("ts2/PG_15_202209061/5/16390", "old");
    ASSERT_TRUE(files_.make_directory(at("data/pg_tblspc"), 0700));
    ASSERT_TRUE(files_.make_symlink(at("ts1"), at("data/pg_tblspc/16385")));
    ASSERT_TRUE(files_.make_symlink(at("ts2"), at("data/pg_tblspc/16386")));
    if (!inside()) {
      ASSERT_TRUE(files_.make_symlink(at("wal"), at("data/pg_wal")));
    }
  }

  base::Result<Staging> stage(env::FileSystem& files) {
    Staging::Options options{.target = at("data"),
                             .placing = GetParam(),
                             .rules = {.on_data_directory = OnDataDirectory::kReplace}};
    if (inside()) {
      options.mounted_entries = {"pg_wal"};
    } else {
      options.wal_directory = at("wal");
    }
    options.old_links = TRY(old_links_of(files, TRY(inspect_target(files, options.target, options.rules))));
    Staging staging = TRY(Staging::create(files, options));
    const std::string copy = staging.data_folder().substr(folder_.size() + 1);
    put(copy + "/PG_VERSION", "15\n");
    put(copy + "/global/pg_control", testing::control_file(kNew, pg::DbState::kInArchiveRecovery));
    put(copy + "/base/5/112", "new data");
    put(copy + "/standby.signal", "");
    put(wal() + "/.standfast/new/00000001000000000000000A", "new");
    const TablespacePlace place = TRY(staging.add_tablespace(16385, at("ts1")));
    put("ts1/.standfast/new/PG_15_202209061/5/16390", "new");
    TRY(files_.make_directory(at(copy + "/pg_tblspc"), 0700));
    TRY(files_.make_symlink(place.link_target, at(copy + "/pg_tblspc/16385")));
    return staging;
  }

  std::string which() {
    if (!exists("data/global/pg_control")) return "none";
    return read("data/global/pg_control") == testing::control_file(kOld, pg::DbState::kShutDown) ? "old"
                                                                                                 : "new";
  }

  /// What a server would find, if it started: all that belongs to one directory, or no pg_control at all.
  void expect_no_half(const std::string& when) {
    const std::string found = which();
    if (found == "none") return;
    EXPECT_EQ(read("data/base/5/112"), found + " data") << when;
    EXPECT_EQ(read("ts1/PG_15_202209061/5/16390"), found) << when;
    EXPECT_EQ(exists("data/standby.signal"), found == "new") << when;
    EXPECT_EQ(exists("data/postgresql.auto.conf"), found == "old") << when;
    EXPECT_EQ(exists(wal() + "/000000010000000000000009"), found == "old") << when;
    EXPECT_EQ(exists(wal() + "/00000001000000000000000A"), found == "new") << when;
    EXPECT_EQ(read("data/pg_wal/" +
                   std::string(found == "old" ? "000000010000000000000009" : "00000001000000000000000A")),
              found)
        << when;
  }

  void expect_new_and_old_kept() {
    expect_no_half("at the end");
    EXPECT_EQ(which(), "new");
    EXPECT_FALSE(read_stale_journal(files_, at("data"))->has_value());
    EXPECT_FALSE(exists("data/.standfast/new") || exists("ts1/.standfast/new") ||
                 exists(wal() + "/.standfast/new"));
    EXPECT_EQ(read("ts1/PG_12_201909212/5/16390"), "another server's");
    EXPECT_FALSE(exists("data/.standfast/rejoin.json"));
    EXPECT_EQ((*files_.inspect(at("data")))->mode, 0700U);
    std::string old;
    const std::string folder = inside() ? "data/.standfast" : "";
    const std::vector<std::string> names = *files_.list(inside() ? at(folder) : folder_);
    for (const std::string& name : names) {
      if (name.find("old-") != std::string::npos) old = inside() ? folder + "/" + name : name;
    }
    ASSERT_FALSE(old.empty());
    EXPECT_EQ(read(old + "/base/5/112"), "old data");
    EXPECT_EQ(read(old + "/postgresql.auto.conf"), "old");
    // Through its links the old directory is whole, and shares nothing with the new one.
    EXPECT_EQ(read(old + "/pg_tblspc/16385/PG_15_202209061/5/16390"), "old");
    EXPECT_EQ(read(old + "/pg_tblspc/16386/PG_15_202209061/5/16390"), "old");
    EXPECT_EQ(read(old + "/pg_wal/000000010000000000000009"), "old");
    EXPECT_EQ(read("data/pg_tblspc/16385/PG_15_202209061/5/16390"), "new");
  }

  /// Makes everything fail from the given call on, as a kill does.
  void kill_at(int turn) {
    calls_ = 0;
    faulty_.fails = [this, turn](Operation, const std::string&) { return ++calls_ >= turn; };
  }
  void live() {
    faulty_.fails = [](Operation, const std::string&) { return false; };
  }
  void start_over() {
    TearDown();
    SetUp();
    put_old();
  }

  void finish_the_next_run() {
    base::NullReporter reporter;
    const auto settled = settle_interrupted(faulty_, at("data"), reporter);
    ASSERT_TRUE(settled) << settled.error().message;
    const auto journal = *read_stale_journal(faulty_, at("data"));
    if (!journal) return;
    ASSERT_TRUE(Staging::remove_stale(faulty_, *journal));
    ASSERT_TRUE(remove_journal(faulty_, at("data"), *journal));
  }

  FaultyFileSystem faulty_;
  int calls_ = 0;
};

TEST_P(SwapTest, TheNewOneIsInPlaceAndTheOldOneIsWholeElsewhere) {
  put_old();
  auto staging = stage(faulty_);
  ASSERT_TRUE(staging) << staging.error().message;
  const auto placed = staging->put_in_place();
  ASSERT_TRUE(placed) << placed.error().message;
  EXPECT_FALSE(placed->unfinished);
  EXPECT_TRUE(placed->old);
  EXPECT_EQ(placed->also_kept.size(), 2U);
  expect_new_and_old_kept();
}

TEST_P(SwapTest, WhateverCallFailsThereIsTheOldOrTheNew) {
  int old_ones = 0;
  for (int turn = 1;; ++turn) {
    start_over();
    const Tree before = tree(".");
    auto staging = stage(faulty_);
    ASSERT_TRUE(staging) << staging.error().message;
    int calls = 0;
    faulty_.fails = [&](Operation, const std::string&) { return ++calls == turn; };
    const auto placed = staging->put_in_place();
    live();
    if (placed && !placed->unfinished) {
      expect_new_and_old_kept();
      if (calls < turn) break;
      continue;  // what failed was the removal of a folder that nobody minds
    }
    if (!placed) {
      ASSERT_TRUE(staging->remove());
      EXPECT_EQ(tree("."), before) << turn;
      ++old_ones;
    } else {
      finish_the_next_run();
      expect_new_and_old_kept();
    }
  }
  EXPECT_GE(old_ones, 12);
}

TEST_P(SwapTest, KilledAtAnyCallAndAgainWhileItIsUndoneTheNextRunEndsItWhole) {
  int undone = 0;
  int placed = 0;
  bool was_killed = true;
  for (int turn = 1; was_killed; ++turn) {
    bool was_killed_again = true;
    for (int again = 1; was_killed_again; again += 3) {
      start_over();
      const Tree before = tree(".");
      auto staging = stage(faulty_);
      ASSERT_TRUE(staging) << staging.error().message;
      kill_at(turn);
      static_cast<void>(staging->put_in_place());
      was_killed = calls_ >= turn;
      expect_no_half(fmt::format("killed at call {}", turn));
      kill_at(again);
      base::NullReporter reporter;
      static_cast<void>(settle_interrupted(faulty_, at("data"), reporter));
      was_killed_again = calls_ >= again;
      expect_no_half(fmt::format("killed at call {}, and at {} of the next run", turn, again));
      live();
      finish_the_next_run();
      if (which() == "old") {
        ++undone;
        EXPECT_EQ(tree("."), before) << turn << " " << again;
      } else {
        ++placed;
        expect_new_and_old_kept();
      }
      if (HasFailure()) return;
    }
  }
  EXPECT_GE(undone, 40);
  EXPECT_GE(placed, 5);
}

TEST_P(SwapTest, ACopyThatIsGoneIsNotTakenForOneInPlace) {
  put_old();
  auto staging = stage(faulty_);
  ASSERT_TRUE(staging);
  // Killed in the middle; then somebody removes the copy by hand.
  int renames = 0;
  faulty_.fails = [&](Operation operation, const std::string&) {
    return operation == Operation::kRename && ++renames > 4;
  };
  static_cast<void>(staging->put_in_place());
  live();
  ASSERT_EQ(which(), "none");
  const std::string copy = staging_path_of(at("data"), GetParam());
  ASSERT_TRUE(env::remove_tree(files_, copy));
  base::NullReporter reporter;
  const auto settled = settle_interrupted(faulty_, at("data"), reporter);
  ASSERT_FALSE(settled);
  EXPECT_EQ(settled.error().code, base::ErrorCode::kTargetRefused);
  EXPECT_TRUE((*read_stale_journal(files_, at("data")))->placement) << "it is still known what was renamed";
}

INSTANTIATE_TEST_SUITE_P(Placings, SwapTest, ::testing::Values(Placing::kBeside, Placing::kInside),
                         [](const auto& placing) {
                           return placing.param == Placing::kInside ? "Inside" : "Beside";
                         });

}  // namespace
}  // namespace standfast::clone
