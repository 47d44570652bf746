#include "setup/agent_place.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/certificate.h"

namespace standfast::setup {
namespace {

using base::ErrorCode;

std::string listens(std::string_view wish, const AgentAddresses& before,
                    const std::vector<std::string>& own) {
  const auto parsed = parse_agent_wish(wish);
  EXPECT_TRUE(parsed) << wish;
  const auto addresses = addresses_to_listen_on(*parsed, before, own);
  EXPECT_TRUE(addresses) << addresses.error().message;
  return to_string(*addresses);
}

std::string called(std::string_view listen, const std::string& own, const std::string& host) {
  const net::HostPort place = place_to_call({*parse_agent_wish(listen)->listen}, own, host);
  return to_string({place});
}

TEST(AgentPlace, WithoutAValueItIsWhereStandbysReachThisHostAndWhereItWas) {
  EXPECT_EQ(listens("", {}, {"10.20.20.1"}), "10.20.20.1:7432");
  EXPECT_EQ(listens("", {}, {"10.20.20.1", "fd00::1", "10.20.20.1"}), "10.20.20.1:7432, [fd00::1]:7432");
  EXPECT_EQ(listens("", {{"10.20.20.1", 8000}}, {"10.20.20.1"}), "10.20.20.1:8000");
  EXPECT_EQ(listens("", {{"10.20.20.1", 8000}}, {"10.30.0.1"}), "10.20.20.1:8000, 10.30.0.1:8000");
  EXPECT_EQ(listens("", {{"0.0.0.0", 8000}}, {"10.30.0.1", "fd00::1"}), "0.0.0.0:8000, [fd00::1]:8000");
}

TEST(AgentPlace, WithAValueItIsThereAlone) {
  EXPECT_EQ(listens("10.1.1.1", {{"10.20.20.1", 8000}}, {"10.20.20.1"}), "10.1.1.1:7432");
  EXPECT_EQ(listens("[fd00::1]:99", {}, {}), "[fd00::1]:99");
}

TEST(AgentPlace, WhatMeansNothingIsRefused) {
  for (const std::string& text : {std::string(":7432"), std::string("10.1.1.1:0"),
                                  std::string("10.1.1.1:70000"), std::string("a:b"), std::string(300, 'h')}) {
    const auto wish = parse_agent_wish(text);
    ASSERT_FALSE(wish) << text;
    EXPECT_EQ(wish.error().code, ErrorCode::kUsage);
    EXPECT_FALSE(wish.error().hint.empty());
  }
  EXPECT_EQ(addresses_to_listen_on({}, {}, {}).error().code, ErrorCode::kUsage);
  std::vector<std::string> many;
  for (int i = 0; i < 40; ++i) many.push_back("10.0.0." + std::to_string(i));
  EXPECT_EQ(addresses_to_listen_on({}, {}, many).error().code, ErrorCode::kUsage);
}

TEST(AgentPlace, AStandbyCallsTheNameItKnowsWhereThatLeadsToTheAgent) {
  EXPECT_EQ(called("10.20.20.1", "10.20.20.1", "db1.example"), "db1.example:7432");
  EXPECT_EQ(called("0.0.0.0:8000", "10.20.20.1", "db1.example"), "db1.example:8000");
  EXPECT_EQ(called("0.0.0.0:8000", "fd00::1", "db1.example"), "db1.example:8000");
  EXPECT_EQ(called("10.9.9.9:8000", "10.20.20.1", "db1.example"), "10.9.9.9:8000");
}

TEST(AgentPlace, AProgramOfTheHostCallsTheLoopbackOfAWildcard) {
  EXPECT_EQ(as_called_here({"0.0.0.0", 1}).host, "127.0.0.1");
  EXPECT_EQ(as_called_here({"::", 1}).host, "::1");
  EXPECT_EQ(as_called_here({"10.20.20.1", 1}).host, "10.20.20.1");
}

TEST(AgentPlace, AHostsNameIsAMembersAndNoSlots) {
  for (const std::string& name : {std::string("db1"), std::string("db1.example.com"), std::string("DB_1"),
                                  std::string("h\xC3\xA9 x"), std::string(100, 'a'), std::string()}) {
    EXPECT_TRUE(agent::is_member_name(member_name_of_host(name))) << name;
    EXPECT_NE(member_name_of_host(name).find('-'), std::string::npos);
  }
  EXPECT_EQ(member_name_of_host("db1"), "host-db1");
  EXPECT_EQ(own_member_name().substr(0, 5), "host-");
}

}  // namespace
}  // namespace standfast::setup
