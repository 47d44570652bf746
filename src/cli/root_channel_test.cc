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

TEST(FirewallRequests, ComeBackAsTheyWereSent) {
  using server::FirewallAction;
  for (const auto action : {FirewallAction::kAsk, FirewallAction::kOpen, FirewallAction::kClose}) {
    const auto timed =
        decode_firewall_request(encode_firewall_request({{action, "fd00::2/128", 5432}, 10'000ms}));
    ASSERT_TRUE(timed.has_value());
    EXPECT_EQ(timed->request.action, action);
    EXPECT_EQ(timed->request.address_cidr, "fd00::2/128");
    EXPECT_EQ(timed->request.port, 5432);
    EXPECT_EQ(timed->timeout, 10'000ms);
  }
}

TEST(FirewallRequests, NothingElseIsUnderstood) {
  for (const char* message :
       {"firewall-open", "firewall-open 1000 10.20.20.2/32", "firewall-open 1000 10.20.20.2 5432",
        "firewall-open 1000 10.20.20.2/32 0", "firewall-open 1000 10.20.20.2/32 65536",
        "firewall-open 1000 10.20.20.2/32 5432 extra", "firewall-open 1000 010.20.20.2/32 5432",
        "firewall-open 1000 0.0.0.0/0;reboot 5432", "firewall-wipe 1000 10.20.20.2/32 5432",
        "firewall-open 1000 10.20.20.2/24 5432"}) {
    EXPECT_FALSE(decode_firewall_request(message).has_value()) << message;
  }
}

TEST(FirewallRequests, RootOpensOnlyToWhatTheUserNamedToItself) {
  auto& files = env::posix_file_system();
  for (const auto& leave : {RootLeave{"/data", {}}, RootLeave{"/data", {"10.20.20.3/32"}}}) {
    const auto served = serve_firewall_request(files, leave, "firewall-open 1000 10.20.20.2/32 5432");
    ASSERT_FALSE(served.has_value());
    EXPECT_EQ(served.error().code, ErrorCode::kPermission);
  }
  EXPECT_TRUE(
      serve_request(files, {"/data", {}}, "firewall-open 1000 10.20.20.2/32 5432").starts_with("permission"));
  EXPECT_TRUE(serve_request(files, {"/data", {}}, "stop 1000 sshd.service").starts_with("permission"));
}

TEST(FirewallRequests, AnswersKeepWhatTheySay) {
  using server::FirewallAnswer;
  for (const auto answer :
       {FirewallAnswer::kNone, FirewallAnswer::kOpen, FirewallAnswer::kClosed, FirewallAnswer::kPartly}) {
    EXPECT_EQ(decode_firewall_answer(encode_firewall_answer(answer)).value(), answer);
  }
  const auto failed =
      decode_firewall_answer(encode_firewall_answer(Error(ErrorCode::kTimeout, "late", "Wait.")));
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, ErrorCode::kTimeout);
  EXPECT_EQ(decode_firewall_answer("done").error().code, ErrorCode::kProtocol);
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
