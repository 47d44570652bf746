#include "cli/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/command_table.h"

namespace standfast::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

CommandManual some_command() {
  CommandManual manual;
  manual.path = "standby clone";
  manual.summary = "copy: all of it";
  manual.groups = {
      {.title = "Options",
       .options = {{.names = {"-X", "--method"},
                    .value = "none|fetch",
                    .kind = ValueKind::kChoice,
                    .choices = {"none", "fetch"},
                    .description = "how [it]: the server's way"},
                   {.names = {"-D"}, .value = "DIR", .kind = ValueKind::kDirectory, .description = "where"},
                   {.names = {"-p"}, .value = "PORT", .kind = ValueKind::kText, .description = "port"},
                   {.names = {"-?", "--help"}, .description = "help"}}}};
  return manual;
}

TEST(Completion, QuotesForTheShells) {
  EXPECT_EQ(shell_single_quoted("it's $x"), "'it'\\''s $x'");
  EXPECT_EQ(zsh_spec_escaped("a [b]: \\c"), "a \\[b\\]\\: \\\\c");
}

TEST(Completion, BashKnowsTheKindOfEachValue) {
  const std::vector<CommandManual> manuals = {some_command()};
  const std::string script = bash_completion(manuals);
  EXPECT_THAT(script, HasSubstr("'standby clone -X' | 'standby clone --method') kind='words none fetch' ;;"));
  EXPECT_THAT(script, HasSubstr("'standby clone -D') kind='directory' ;;"));
  EXPECT_THAT(script, HasSubstr("'standby clone -p') kind='nothing' ;;"));
  EXPECT_THAT(script, HasSubstr("'standby clone') words='-X --method= -D -p --help' ;;"));
  EXPECT_THAT(script, HasSubstr("standby) words='clone' ;;"));
}

TEST(Completion, ZshSpecsExcludeTheOtherNameAndAreEscaped) {
  const std::vector<CommandManual> manuals = {some_command()};
  const std::string script = zsh_completion(manuals);
  EXPECT_TRUE(script.starts_with("#compdef standfast\n"));
  EXPECT_THAT(script,
              HasSubstr(R"('(-X --method)-X+[how \[it\]\: the server'\''s way]:value:(none fetch)')"));
  EXPECT_THAT(script, HasSubstr(R"('(-X --method)--method=[how)"));
  EXPECT_THAT(script, HasSubstr(R"('-D+[where]:DIR:_directories')"));
  EXPECT_THAT(script, HasSubstr(R"('clone:copy\: all of it')"));
}

TEST(Completion, RunsNothingOfTheProgram) {
  const auto manuals = describe_commands(command_table());
  for (const std::string& script : {bash_completion(manuals), zsh_completion(manuals)}) {
    EXPECT_THAT(script, Not(HasSubstr("$(standfast")));
    EXPECT_THAT(script, Not(HasSubstr("`")));
  }
}

}  // namespace
}  // namespace standfast::cli
