#include "clone/rejoin.h"
#include "clone/rejoin_test_support.h"

namespace standfast::clone {
namespace {

using base::Error;
using base::ErrorCode;

/// An earlier run made slot "made", and was killed.
class NotedSlotTest : public testing::KilledRejoinTest {
 protected:
  void SetUp() override {
    KilledRejoinTest::SetUp();
    journal_.created_slot = "made";
    journal_.slot = "made";
    note();
  }
  /// What it ends with: no server has its socket in that folder.
  Error rejoin(const std::optional<std::string>& slot, SlotUse use) {
    RejoinOptions options;
    options.copy.connect.set("host", folder_).set("port", "5432");
    options.copy.target = at("data");
    options.copy.slot = slot;
    options.copy.slot_use = use;
    const CloneEnvironment environment{files_, stop_, reporter_};
    const auto left = tree(".");
    const auto planned = plan_rejoin(options, environment);
    EXPECT_TRUE(tree(".") == left);
    const auto done = run_rejoin(options, environment);
    EXPECT_TRUE(tree(".") == left);
    if (planned || done) return {ErrorCode::kFailed, "it did not fail"};
    EXPECT_EQ(planned.error().code, done.error().code);
    return done.error();
  }
  void expect_others_refused() {
    for (const std::optional<std::string>& slot : {std::optional<std::string>("other"), {}}) {
      const Error refused = rejoin(slot, slot ? SlotUse::kCreate : SlotUse::kTemporary);
      EXPECT_EQ(refused.code, ErrorCode::kTargetRefused) << refused.message;
      EXPECT_NE(refused.message.find("\"made\""), std::string::npos) << refused.message;
      EXPECT_NE(refused.hint.find("-S made"), std::string::npos) << refused.hint;
    }
  }

  env::StopEvent stop_;
  base::NullReporter reporter_;
};

TEST_F(NotedSlotTest, IsTheOnlyOneThatTheNextRunGoesOnWith) {
  expect_others_refused();
  for (const SlotUse use : {SlotUse::kCreate, SlotUse::kTemporary}) {
    const Error went_on = rejoin("made", use);
    EXPECT_EQ(went_on.code, ErrorCode::kConnect) << went_on.message;
  }
}

TEST_F(NotedSlotTest, IsTheOnlyOneForADirectoryInPiecesToo) {
  begin();
  expect_others_refused();
}

}  // namespace
}  // namespace standfast::clone
