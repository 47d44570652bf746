#include "clone/left_slot.h"

#include <vector>

#include <fmt/format.h>

#include "clone/rejoin_test_support.h"

namespace standfast::clone {
namespace {

class LeftSlotTest : public testing::KilledRejoinTest {
 protected:
  void SetUp() override {
    KilledRejoinTest::SetUp();
    journal_.created_slot = "made";
    journal_.source = fmt::format("host='{}' port=5432", folder_);  // where no server has its socket
    copy_.connect.set("host", "h1").password = base::Secret("password");
  }
  std::optional<LeftSlot> find(const std::string& source = "host=h1") {
    return find_left_slot(files_, at("data"), copy_, source);
  }

  CloneOptions copy_;
};

TEST_F(LeftSlotTest, IsThatOfARejoinThatHasBegunOrNot) {
  EXPECT_FALSE(find());
  note();
  ASSERT_TRUE(find());
  begin();
  const auto left = find();
  ASSERT_TRUE(left);
  EXPECT_EQ(left->slot.name, "made");
  EXPECT_EQ(left->slot.system_id, testing::kRejoinedSystem);
  EXPECT_EQ(left->slot.conninfo, journal_.source);
}

TEST_F(LeftSlotTest, ThePasswordGoesOnlyWhereTheCopyComesFrom) {
  begin();
  EXPECT_FALSE(find()->connect.password);
  EXPECT_EQ(find()->connect.parameters.front(), (std::pair<std::string, std::string>("host", folder_)));
  EXPECT_TRUE(find(*journal_.source)->connect.password);
}

TEST_F(LeftSlotTest, IsNotOneThatIsOfUse) {
  begin();
  copy_.slot = "made";
  EXPECT_FALSE(find()) << "the copy is to stream through it";
  copy_.slot = "other";
  EXPECT_TRUE(find());
  put("data/global/pg_control",
      testing::control_file(testing::kRejoinedSystem, pg::DbState::kInArchiveRecovery));
  EXPECT_FALSE(find()) << "the rejoin came to its end, and the directory is a standby with that slot";
}

TEST_F(LeftSlotTest, IsNoneWhereNoneWasMadeOrNobodyCanSay) {
  journal_.created_slot.reset();
  begin();
  EXPECT_FALSE(find());
  put("data/.standfast/rejoin.json", "{");
  EXPECT_FALSE(find());
}

TEST_F(LeftSlotTest, OneThatCannotBeDroppedIsTold) {
  begin();
  testing::KeptLines reporter;
  drop_left_slot(*find(), reporter);
  ASSERT_EQ(reporter.warnings.size(), 1U);
  EXPECT_TRUE(reporter.infos.empty());
  for (const std::string part : {"\"made\"", "SELECT pg_drop_replication_slot('made')", "port=5432"})
    EXPECT_NE(reporter.warnings[0].find(part), std::string::npos) << reporter.warnings[0];
}

}  // namespace
}  // namespace standfast::clone
