#include "cli/root_channel.h"

#include <thread>

#include <gtest/gtest.h>

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using server::UnitAction;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;

TEST(UnitRequests, ComeBackAsTheyWereSent) {
  const auto request =
      decode_request(encode_request({UnitAction::kRestart, 30'000ms, "postgresql@15-main.service"}));
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->action, UnitAction::kRestart);
  EXPECT_EQ(request->timeout, 30'000ms);
  EXPECT_EQ(request->unit, "postgresql@15-main.service");
}

TEST(UnitRequests, NothingElseIsUnderstood) {
  for (const char* message :
       {"", "start", "start 30000", "start 30000 ", "mask 30000 postgresql@15-main.service",
        "start -1 postgresql@15-main.service", "start 30000 sshd.service", "start 30000 --no-block",
        "start 30000 postgresql@15-main.service extra", "start 99999999999 postgresql@15-main.service",
        "START 30000 postgresql@15-main.service"}) {
    EXPECT_FALSE(decode_request(message).has_value()) << message;
  }
}

TEST(UnitRequests, RootRefusesAUnitThatRunsAnotherDirectory) {
  auto& files = env::posix_file_system();
  const auto served = serve_unit_request(files, "/nowhere/data", "stop 1000 postgresql@15-main.service");
  ASSERT_FALSE(served.has_value());
  EXPECT_EQ(served.error().code, ErrorCode::kPermission);
  const auto foreign = serve_unit_request(files, "/nowhere/data", "stop 1000 sshd.service");
  ASSERT_FALSE(foreign.has_value());
  EXPECT_EQ(foreign.error().code, ErrorCode::kPermission);
}

TEST(Answers, KeepCodeMessageAndHint) {
  EXPECT_TRUE(decode_answer(encode_answer({})).has_value());
  const auto error = decode_answer(encode_answer(Error(ErrorCode::kTimeout, "too late", "Wait\nlonger.")));
  ASSERT_FALSE(error.has_value());
  EXPECT_EQ(error.error().code, ErrorCode::kTimeout);
  EXPECT_EQ(error.error().message, "too late");
  EXPECT_EQ(error.error().hint, "Wait\nlonger.");
}

TEST(ChannelHelper, AsksAndTakesTheAnswer) {
  auto ends = make_channel();
  ASSERT_TRUE(ends.has_value());
  auto helper = make_channel_helper(std::move(ends->second));
  std::string asked;
  std::thread root([&, channel = &ends->first] {
    asked = channel->receive().value_or("");
    channel->answer(Error(ErrorCode::kServerControl, "it failed"));
  });
  const auto done =
      helper->control_unit(UnitAction::kStart, "postgresql-15.service", env::Wait::for_at_most(10s));
  root.join();
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().message, "it failed");
  EXPECT_TRUE(asked.starts_with("start "));
  EXPECT_TRUE(asked.ends_with(" postgresql-15.service"));
}

TEST(ChannelHelper, RootThatIsGoneIsAnError) {
  auto ends = make_channel();
  ASSERT_TRUE(ends.has_value());
  auto helper = make_channel_helper(std::move(ends->second));
  ends->first.close();
  const auto done =
      helper->control_unit(UnitAction::kStart, "postgresql-15.service", env::Wait::for_at_most(10s));
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().code, ErrorCode::kIo);
}

TEST(ChannelHelper, RootThatDoesNotAnswerIsNotWaitedForBeyondTheDeadline) {
  auto ends = make_channel();
  ASSERT_TRUE(ends.has_value());
  auto helper = make_channel_helper(std::move(ends->second));
  const auto done =
      helper->control_unit(UnitAction::kStart, "postgresql-15.service", env::Wait::for_at_most(100ms));
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().code, ErrorCode::kTimeout);
}

}  // namespace
}  // namespace standfast::cli
