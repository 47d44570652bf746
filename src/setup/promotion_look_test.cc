#include "setup/promotion_look.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace standfast::setup {
namespace {

using base::ErrorCode;
using testing::HasSubstr;

TEST(PausedReplay, AnAdministratorsPauseIsLetGo) {
  EXPECT_EQ(reason_to_stay_paused({}), std::nullopt);
}

TEST(PausedReplay, RecoveryTargetWouldEndRecovery) {
  const auto error = reason_to_stay_paused({.target = "recovery_target_lsn", .too_low = {}});
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, ErrorCode::kPrecondition);
  EXPECT_THAT(error->message, HasSubstr("recovery_target_lsn"));
}

TEST(PausedReplay, SettingBelowThePrimarysWouldStopTheServer) {
  const auto error = reason_to_stay_paused({.target = "", .too_low = {{"max_connections", 50, 100}}});
  ASSERT_TRUE(error);
  EXPECT_THAT(error->message, HasSubstr("max_connections is 50 here and 100 on the primary"));
  EXPECT_THAT(error->hint, HasSubstr("max_connections = 100"));
}

}  // namespace
}  // namespace standfast::setup
