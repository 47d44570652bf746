#include "setup/demo_act.h"

#include <gtest/gtest.h>

namespace standfast::setup {
namespace {

TEST(DemoAct, CountsOfEachSessionOnlyWhatItWasToldOf) {
  std::vector<DemoWriters::Session> sessions(2);
  sessions[0].acknowledged = 120;
  const std::string sql = count_acknowledged_sql(sessions);
  EXPECT_NE(sql.find("VALUES (1, 120), (2, 0))"), std::string::npos) << sql;
  EXPECT_NE(sql.find("found.number <= told.number"), std::string::npos) << sql;
}

TEST(DemoAct, AStandbyThatIsLedNowhereKeepsWhatNamesItsPrimary) {
  const auto conninfo = led_nowhere("host=127.0.0.1 port=6000 user=replicator passfile='/a b/c'");
  ASSERT_TRUE(conninfo.has_value());
  EXPECT_EQ(*conninfo, "host=127.0.0.1 port=6000 user=replicator passfile='/a b/c' hostaddr=127.0.0.2");
  EXPECT_EQ(led_nowhere(*conninfo).value(), *conninfo);
  EXPECT_FALSE(led_nowhere("host='").has_value());
}

}  // namespace
}  // namespace standfast::setup
