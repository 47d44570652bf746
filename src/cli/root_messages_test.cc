#include "cli/root_messages.h"

#include <gtest/gtest.h>

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using server::UnitAction;
using std::chrono_literals::operator""ms;

TEST(NumberedMessages, ComeBackAsTheyWereSent) {
  const auto message = decode_numbered(encode_numbered({18'446'744'073'709'551'615U, "start 1 a b"}));
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->number, 18'446'744'073'709'551'615U);
  EXPECT_EQ(message->text, "start 1 a b");
  for (const char* none : {"", " ", "done", "-1 done", "1x done", "18446744073709551616 done"}) {
    EXPECT_FALSE(decode_numbered(none).has_value()) << none;
  }
}

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

TEST(RootMessages, AnAgentsRequestComesBackAndNothingElseIsOne) {
  EXPECT_EQ(decode_agent_request(encode_agent_request(base::Milliseconds(60000))), base::Milliseconds(60000));
  for (const std::string_view text : {"", "agent-enable", "agent-enable x", "agent-enable 1 2",
                                      "agent-enable -1", "start 1 postgresql.service"}) {
    EXPECT_FALSE(decode_agent_request(text)) << text;
  }
  EXPECT_FALSE(decode_request(encode_agent_request(base::Milliseconds(1))));
  EXPECT_FALSE(decode_firewall_request(encode_agent_request(base::Milliseconds(1))));
}

}  // namespace
}  // namespace standfast::cli
