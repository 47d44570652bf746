#include "cli/server_arguments.h"

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

namespace standfast::cli {
namespace {

std::optional<OwnerRule> rule_for(std::string command_line) {
  CLI::App app;
  app.set_help_flag();  // -h is the host
  ServerArguments arguments;
  arguments.declare(app);
  app.parse(command_line);
  return arguments.owner_rule();
}

TEST(ServerArgumentsTest, RootBecomesSomeoneElseAlsoWithoutADataDirectory) {
  for (const char* command_line : {"", "-d host=10.0.0.1", "-p 5433"}) {
    const auto rule = rule_for(command_line);
    ASSERT_TRUE(rule) << command_line;
    EXPECT_EQ(rule->data_directory, "");
    EXPECT_EQ(rule->user, "postgres");
  }
}

TEST(ServerArgumentsTest, OwnerOfTheDataDirectoryComesFirst) {
  const auto rule = rule_for("-D /data -d host=10.0.0.1");
  ASSERT_TRUE(rule);
  EXPECT_EQ(rule->data_directory, "/data");
  EXPECT_FALSE(rule->user);
}

}  // namespace
}  // namespace standfast::cli
