#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/manual.h"

namespace standfast::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Values {
  std::string host;
  std::vector<std::string> connections;
  std::string method = "stream";
  bool progress = false;
};

Values seen;

class SomeCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    seen = {};
    app.add_option("-h,--host", seen.host, "the server's host")->type_name("HOST");
    app.add_option("-d", seen.connections, "a connection")
        ->take_all()
        ->allow_extra_args(false)
        ->type_name("CONNINFO");
    app.add_option("-X,--wal-method", seen.method, "how WAL is copied")->type_name("METHOD");
    app.add_flag("-P,--progress", seen.progress, "show progress");
  }
  base::Result<int> run(CommandContext&) override { return 0; }
};

std::unique_ptr<Command> make_some() {
  return std::make_unique<SomeCommand>();
}

const std::vector<CommandEntry> kEntries = {
    {"status", "what replicates", "standfast status", make_some},
    {"primary setup", "prepare a primary", "standfast primary setup", make_some},
    {"standby start", "start a standby", "standfast standby start", make_some},
    {"standby stop", "stop a standby", "standfast standby stop", make_some},
};

base::Result<ParsedOptions> parse(std::vector<std::string> arguments) {
  SomeCommand command;
  return parse_options(kEntries[0], command, std::move(arguments));
}

TEST(CommandLine, FindsCommandsOfOneAndOfTwoWords) {
  const std::vector<std::string> two = {"primary", "setup", "-D", "/x"};
  ASSERT_TRUE(find_command(kEntries, two));
  EXPECT_EQ(find_command(kEntries, two)->entry, &kEntries[1]);
  EXPECT_EQ(find_command(kEntries, two)->words, 2U);
  const std::vector<std::string> one = {"status", "--detail"};
  EXPECT_EQ(find_command(kEntries, one)->words, 1U);
}

TEST(CommandLine, HalfACommandIsToldItsOtherHalves) {
  const std::vector<std::string> half = {"standby"};
  const auto match = find_command(kEntries, half);
  ASSERT_FALSE(match);
  EXPECT_THAT(match.error().hint, HasSubstr("standfast standby start"));
  EXPECT_THAT(match.error().hint, HasSubstr("standfast standby stop"));
  EXPECT_EQ(base::exit_code_of(match.error().code), 2);
}

TEST(CommandLine, UnknownCommandIsUsage) {
  const std::vector<std::string> unknown = {"frobnicate"};
  const auto match = find_command(kEntries, unknown);
  ASSERT_FALSE(match);
  EXPECT_EQ(match.error().code, base::ErrorCode::kUsage);
  EXPECT_EQ(match.error().message, "unknown command \"frobnicate\"");
}

TEST(CommandLine, SmallHIsTheHostAndNeverHelp) {
  const auto parsed = parse({"-h", "10.20.20.1"});
  ASSERT_TRUE(parsed);
  EXPECT_FALSE(parsed->help);
  EXPECT_EQ(seen.host, "10.20.20.1");
}

TEST(CommandLine, OptionsAreWrittenInEveryWayOfPostgres) {
  ASSERT_TRUE(parse({"-Xfetch", "-vP", "--host=a"}));
  EXPECT_EQ(seen.method, "fetch");
  EXPECT_TRUE(seen.progress);
  EXPECT_EQ(seen.host, "a");
}

TEST(CommandLine, LastOfARepeatedOptionCounts) {
  ASSERT_TRUE(parse({"-h", "a", "-h", "b"}));
  EXPECT_EQ(seen.host, "b");
}

TEST(CommandLine, ListsCollectOneValueEach) {
  ASSERT_TRUE(parse({"-d", "host=a", "-d", "host=b"}));
  EXPECT_THAT(seen.connections, testing::ElementsAre("host=a", "host=b"));
  EXPECT_FALSE(parse({"-d", "host=a", "host=b"}));
}

TEST(CommandLine, HelpNamesEveryOptionAndComesBeforeOtherErrors) {
  for (const char* word : {"-?", "--help"}) {
    const auto parsed = parse({word});
    ASSERT_TRUE(parsed) << word;
    ASSERT_TRUE(parsed->help);
    EXPECT_THAT(*parsed->help, HasSubstr("-h, --host=HOST"));
    EXPECT_THAT(*parsed->help, HasSubstr("-d CONNINFO"));
    EXPECT_THAT(*parsed->help, HasSubstr("--output=text|json"));
  }
}

TEST(CommandLine, UnknownOptionIsNamedWithoutItsValue) {
  const auto parsed = parse({"--passwd=hunter2"});
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().message, "unrecognized option \"--passwd\"");
  EXPECT_EQ(base::exit_code_of(parsed.error().code), 2);
}

TEST(CommandLine, StrayWordIsNotSaidAgain) {
  const auto parsed = parse({"-P", "hunter2"});
  ASSERT_FALSE(parsed);
  EXPECT_THAT(parsed.error().message, Not(HasSubstr("hunter2")));
}

TEST(CommandLine, OutputIsTextOrJson) {
  EXPECT_EQ(parse({"--output", "json"})->output, OutputFormat::kJson);
  EXPECT_EQ(parse({})->output, OutputFormat::kText);
  EXPECT_FALSE(parse({"--output", "xml"}));
}

TEST(CommandLine, MissingValueIsUsage) {
  const auto parsed = parse({"--host"});
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, base::ErrorCode::kUsage);
  EXPECT_THAT(parsed.error().hint, HasSubstr("standfast status --help"));
}

TEST(CommandLineSecrets, PasswordInAConnectionStringIsSeen) {
  for (const char* argument :
       {"password=x", "host=a password=x", "host=a password = 'x y'", "-dpassword=x",
        "--dbname=host=a password=x", "--dbname=password=x", "postgresql://user:x@host/db",
        "-dpostgres://user:x@host", "postgresql://host/db?user=a&password=x", "sslkey=a sslpassword=x",
        "postgres://u:a@b@host"}) {
    EXPECT_TRUE(holds_password(argument)) << argument;
  }
}

TEST(CommandLineSecrets, WhatOnlyLooksLikeAPasswordPasses) {
  for (const char* argument :
       {"--password-file=/x", "--rotate-password", "host=a passfile=/p", "postgresql://user@host:5432/db",
        "postgres://[::1]:5432/db", "postgresql://host/db?application_name=a:b@c", "--no-password", "-W",
        "passwordcheck=1", "postgres://user:@host"}) {
    EXPECT_FALSE(holds_password(argument)) << argument;
  }
}

TEST(CommandLineSecrets, TokenIsRefusedAndNotQuoted) {
  for (const char* argument : {"standfast1.abcdefgh.12345678", "--token=standfast1.abcdefgh.12345678"}) {
    const std::vector<std::string> arguments = {"join", argument};
    const auto refused = refuse_secrets(arguments);
    ASSERT_FALSE(refused) << argument;
    EXPECT_EQ(refused.error().code, base::ErrorCode::kUsage);
    EXPECT_THAT(render_error(refused.error()), Not(HasSubstr("abcdefgh")));
  }
}

TEST(CommandLineErrors, AreOneLineAndAHint) {
  EXPECT_EQ(render_error(base::Error(base::ErrorCode::kConnect, "no\nroute\x1b[2J", "Check it.")),
            "standfast: no?route?[2J\nhint: Check it.\n");
  EXPECT_EQ(render_error(base::Error(base::ErrorCode::kConnect, "no route")), "standfast: no route\n");
}

TEST(CommandLineErrors, JsonTellsCodeAndSqlstate) {
  base::Error error(base::ErrorCode::kSql, "no", "Do.");
  error.sqlstate = "42501";
  EXPECT_EQ(error_as_json(error).dump(),
            R"({"error":{"code":"sql","exit_code":21,"message":"no","hint":"Do.","sqlstate":"42501"}})");
}

TEST(CommandLineErrors, TableListsEveryCode) {
  EXPECT_THAT(exit_codes_text(), HasSubstr("34  standby_unreachable"));
  EXPECT_THAT(exit_codes_text(), HasSubstr(" 0  ok"));
}

}  // namespace
}  // namespace standfast::cli
