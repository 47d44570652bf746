#include "agent/agent_config.h"

#include <gtest/gtest.h>

namespace standfast::agent {
namespace {

using base::ErrorCode;

TEST(AgentConfig, AllOfItIsReadAndFilledIn) {
  const auto config = parse_agent_config(
      "[agent]\ndata_directory = \"/srv/main\"\nlisten = [\"10.0.0.1\", \"[fd00::1]:7433\"]\n"
      "superuser = \"admin\"\ndatabase = \"db\"\nmax_connections = 20\nmax_strangers = 10\nmax_backups = 2\n",
      "f");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->data_directory, "/srv/main");
  const auto options = options_of(*config, {.listen = {{"10.9.9.9", 1}}});
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_EQ(options->listen,
            (std::vector<net::ListenAddress>{{"10.0.0.1", kDefaultAgentPort}, {"fd00::1", 7433}}));
  EXPECT_EQ(options->superuser, "admin");
  EXPECT_EQ(options->database, "db");
  EXPECT_EQ(options->connections.max_logged_in, 20U);
  EXPECT_EQ(options->connections.max_not_logged_in, 10U);
  EXPECT_EQ(options->max_backups, 2U);
}

TEST(AgentConfig, WhatIsNotUnderstoodIsNamedWithItsLine) {
  for (const char* bad :
       {"[agent]\nlisten = \"10.0.0.1\"\n", "[agent]\nlisten = [1]\n", "[agent]\nport = 1\n",
        "[agent]\nmax_backups = 0\n", "[agent]\nmax_connections = \"8\"\n",
        "[agent]\ndata_directory = \"\"\n", "\n[witness]\n", "\nagent = 1\n", "\n[agent\n"}) {
    const auto config = parse_agent_config(bad, "f.toml");
    ASSERT_FALSE(config) << bad;
    EXPECT_EQ(config.error().code, ErrorCode::kUsage) << bad;
    EXPECT_NE(config.error().message.find("\"f.toml\" line 2"), std::string::npos) << config.error().message;
  }
  EXPECT_EQ(*parse_agent_config("", "f"), AgentConfig());
}

TEST(AgentConfig, NothingHasADefaultThatListensAnywhere) {
  EXPECT_EQ(options_of({}, {}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(options_of({.listen = {"a:b:c]"}}, {}).error().code, ErrorCode::kUsage);
  const auto options = options_of({}, {.listen = {{"10.0.0.1", 7000}}});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->listen, (std::vector<net::ListenAddress>{{"10.0.0.1", 7000}}));
}

TEST(AgentConfig, FlagsWin) {
  const AgentConfig file{.data_directory = "/a", .listen = {"1"}, .max_backups = 3};
  const AgentConfig merged = merge(file, {.listen = {"2"}, .database = "d"});
  EXPECT_EQ(merged,
            (AgentConfig{.data_directory = "/a", .listen = {"2"}, .database = "d", .max_backups = 3}));
}

}  // namespace
}  // namespace standfast::agent
