#include "cli/root_channel.h"

#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "env/stop_event.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using server::FirewallAction;
using server::FirewallAnswer;
using server::UnitAction;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;

TEST(ChannelHelper, AsksAndTakesTheAnswer) {
  auto ends = make_channel();
  ASSERT_TRUE(ends.has_value());
  auto helper = make_channel_helper(std::move(ends->second));
  std::string asked;
  std::thread root([&, channel = &ends->first] {
    const auto request = decode_numbered(channel->receive().value_or(""));
    if (!request) return;
    asked = request->text;
    EXPECT_TRUE(channel->send(
        encode_numbered({request->number, encode_answer(Error(ErrorCode::kServerControl, "it failed"))})));
  });
  const auto done =
      helper->control_unit(UnitAction::kStart, "postgresql-15.service", env::Wait::for_at_most(60s));
  root.join();
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().message, "it failed");
  EXPECT_TRUE(asked.starts_with("start "));
  EXPECT_TRUE(asked.ends_with(" postgresql-15.service"));
}

/// Of a request that was given up: it comes while the next one waits for its own.
TEST(ChannelHelper, LateAnswerIsNotTakenForThatOfTheNextRequest) {
  auto ends = make_channel();
  ASSERT_TRUE(ends.has_value());
  auto helper = make_channel_helper(std::move(ends->second));
  const auto opened =
      helper->change_firewall({FirewallAction::kOpen, "10.20.20.2/32", 5432}, env::Wait::for_at_most(10ms));
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, ErrorCode::kTimeout);
  std::thread root([channel = &ends->first] {
    const auto open = decode_numbered(channel->receive().value_or(""));
    const auto close = decode_numbered(channel->receive().value_or(""));
    ASSERT_TRUE(open && close);
    EXPECT_TRUE(
        channel->send(encode_numbered({open->number, encode_firewall_answer(FirewallAnswer::kOpen)})));
    EXPECT_TRUE(channel->send("not an answer"));
    EXPECT_TRUE(
        channel->send(encode_numbered({close->number, encode_firewall_answer(FirewallAnswer::kClosed)})));
  });
  const auto closed =
      helper->change_firewall({FirewallAction::kClose, "10.20.20.2/32", 5432}, env::Wait::for_at_most(60s));
  root.join();
  ASSERT_TRUE(closed.has_value());
  EXPECT_EQ(*closed, FirewallAnswer::kClosed);
}

TEST(ChannelHelper, RootThatIsGoneIsAnError) {
  auto ends = make_channel();
  ASSERT_TRUE(ends.has_value());
  auto helper = make_channel_helper(std::move(ends->second));
  ends->first.close();
  const auto done =
      helper->control_unit(UnitAction::kStart, "postgresql-15.service", env::Wait::for_at_most(60s));
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

TEST(Channel, SenderNeverWaitsForAnEndThatDoesNotRead) {
  auto ends = make_channel();
  ASSERT_TRUE(ends.has_value());
  const std::string message(kMaxMessageBytes, 'x');
  int sent = 0;
  while (sent < 100'000 && ends->first.send(message)) ++sent;
  EXPECT_GT(sent, 0);
  EXPECT_LT(sent, 100'000);
}

/// The other end went with unread messages, which the kernel reports before what it had sent.
TEST(Channel, WhatWasSentBeforeTheEndIsStillRead) {
  auto ends = make_channel();
  ASSERT_TRUE(ends.has_value());
  ASSERT_TRUE(ends->first.send("unread"));
  ASSERT_TRUE(ends->second.send("the last wish"));
  ends->second.close();
  EXPECT_EQ(ends->first.receive(), "the last wish");
  EXPECT_FALSE(ends->first.receive().has_value());
  EXPECT_EQ(ends->first.fd(), -1);
}

}  // namespace
}  // namespace standfast::cli
