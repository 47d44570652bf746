#include "clone/unfinished.h"

#include "clone/journal.h"
#include "clone/rejoin_aside.h"
#include "clone/staging.h"
#include "clone/test_support.h"

namespace standfast::clone {
namespace {

const pg::SystemId kSystem(7);
constexpr std::string_view kSource = "host=10.20.20.1 port=5432 user=repl";

class UnfinishedTest : public testing::FolderTest {
 protected:
  /// As a run of a process that is gone by now leaves it.
  base::Result<Staging> stage(std::optional<JournalCopy> copy) {
    return Staging::create(files_, {.target = at("data"), .copy = std::move(copy)});
  }
  JournalCopy copy() const {
    return {.system_id = kSystem, .begun = "20260131T115500", .source = std::string(kSource), .slot = "mine"};
  }
};

TEST_F(UnfinishedTest, NothingIsThere) {
  EXPECT_TRUE(find_unfinished(files_, at("data"))->empty());
  put_data_directory("data", kSystem, pg::DbState::kShutDown);
  ASSERT_TRUE(files_.make_directory(at("data/pg_wal"), 0700));
  EXPECT_TRUE(find_unfinished(files_, at("data"))->empty());
}

TEST_F(UnfinishedTest, CopyOfAnAgentGoesOn) {
  auto killed = stage(copy());
  ASSERT_TRUE(killed) << killed.error().message;
  put("data.standfast-staging/base/5/112", "0123456789");
  const auto found = find_unfinished(files_, at("data"));
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 1U);
  const Unfinished& one = found->front();
  EXPECT_EQ(one.kind, Unfinished::Kind::kCopy);
  EXPECT_EQ(one.target, at("data"));
  EXPECT_EQ(one.next, NextRun::kGoesOn);
  EXPECT_EQ(one.begun, "2026-01-31 11:55:00 UTC");
  EXPECT_EQ(one.system_id, kSystem);
  EXPECT_EQ(one.source, kSource);
  EXPECT_EQ(one.slot, "mine");
  EXPECT_FALSE(one.made_slot);
  EXPECT_FALSE(one.is_at_work);
  EXPECT_EQ(one.folders, std::vector<std::string>{at("data.standfast-staging")});
  EXPECT_EQ(one.bytes, 10U);
}

TEST_F(UnfinishedTest, SlotThatACopyMadeIsTold) {
  auto killed = stage(std::nullopt);
  ASSERT_TRUE(killed->note_slot({"made", kSystem, std::string(kSource)}));
  const auto found = find_unfinished(files_, at("data"));
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().next, NextRun::kBeginsAnew);
  EXPECT_EQ(found->front().slot, "made");
  EXPECT_TRUE(found->front().made_slot);
  EXPECT_EQ(found->front().source, kSource);
  EXPECT_FALSE(found->front().begun);
}

TEST_F(UnfinishedTest, CopyThatIsInPlaceOrKeptByTheUserIsNone) {
  auto staging = stage(copy());
  put("data.standfast-staging/PG_VERSION", "15\n");
  ASSERT_TRUE(staging->put_in_place());
  EXPECT_TRUE(find_unfinished(files_, at("data"))->empty());
  auto kept = Staging::create(files_, {.target = at("other")});
  ASSERT_TRUE(kept->keep());
  EXPECT_TRUE(find_unfinished(files_, at("other"))->empty());
}

TEST_F(UnfinishedTest, RejoinIsUnfinishedUntilPgControlIsInPlace) {
  put_data_directory("data", kSystem, pg::DbState::kShutDown);
  ASSERT_TRUE(files_.make_directory(at("data/pg_wal"), 0700));
  RejoinJournal journal{.system_id = kSystem,
                        .time = "20260131T120000",
                        .wal_folder = at("data/pg_wal"),
                        .created_slot = "made",
                        .source = std::string(kSource),
                        .slot = "made"};
  ASSERT_TRUE(set_aside(files_, at("data"), journal, {}, pg::Version(150000)));
  const auto found = find_unfinished(files_, at("data"));
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 1U);
  const Unfinished& one = found->front();
  EXPECT_EQ(one.kind, Unfinished::Kind::kRejoin);
  EXPECT_TRUE(one.is_in_pieces);
  EXPECT_EQ(one.begun, "2026-01-31 12:00:00 UTC");
  EXPECT_EQ(one.slot, "made");
  EXPECT_TRUE(one.made_slot);
  EXPECT_FALSE(one.bytes);
  put("data/global/pg_control", testing::control_file(kSystem, pg::DbState::kInProduction));
  EXPECT_TRUE(find_unfinished(files_, at("data"))->empty());
}

}  // namespace
}  // namespace standfast::clone
