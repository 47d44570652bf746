#include "cli/manual.h"

#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/command_table.h"

namespace standfast::cli {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const CommandEntry& entry_of(std::string_view path) {
  for (const CommandEntry& entry : command_table()) {
    if (entry.path == path) return entry;
  }
  ADD_FAILURE() << "no command " << path;
  return command_table().front();
}

OptionManual option_of(std::string_view path, const std::string& name) {
  for (const OptionGroup& group : describe_command(entry_of(path)).groups) {
    for (const OptionManual& option : group.options) {
      if (std::find(option.names.begin(), option.names.end(), name) != option.names.end()) return option;
    }
  }
  ADD_FAILURE() << "no option " << name << " of " << path;
  return {};
}

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(' '), line.size());
    words.emplace_back(line.substr(0, end));
    line.remove_prefix(std::min(line.size(), end + 1));
  }
  return words;
}

TEST(Manual, TellsWhatStandsBehindAnOption) {
  const OptionManual method = option_of("standby clone", "-X");
  EXPECT_EQ(method.kind, ValueKind::kChoice);
  EXPECT_THAT(method.choices, ElementsAre("none", "fetch", "stream"));
  EXPECT_EQ(method.synopsis(), "-X, --wal-method=none|fetch|stream");
  EXPECT_EQ(option_of("join", "-D").kind, ValueKind::kDirectory);
  EXPECT_EQ(option_of("join", "--token-file").kind, ValueKind::kFile);
  EXPECT_EQ(option_of("join", "--replace").kind, ValueKind::kNone);
  EXPECT_EQ(option_of("join", "--replace").synopsis(), "--replace");
  EXPECT_EQ(option_of("status", "--watch").synopsis(), "--watch[=SECONDS]");
}

TEST(Manual, TellsADefaultOnce) {
  EXPECT_THAT(option_of("standby start", "-t").description, HasSubstr("(default: 60)"));
  EXPECT_THAT(option_of("primary setup", "-S").description, Not(HasSubstr("(default: )")));
}

TEST(Manual, EveryCommandHasAllThatItsPageShows) {
  std::set<std::string_view> paths;
  for (const CommandEntry& entry : command_table()) {
    EXPECT_TRUE(paths.insert(entry.path).second) << entry.path;
    const CommandManual manual = describe_command(entry);
    EXPECT_FALSE(manual.summary.empty() || manual.description.empty()) << entry.path;
    EXPECT_TRUE(manual.description.ends_with('.')) << entry.path;
    EXPECT_THAT(manual.exit_codes, Contains(base::ErrorCode::kUsage)) << entry.path;
    for (const OptionGroup& group : manual.groups) {
      for (const OptionManual& option : group.options) {
        EXPECT_FALSE(option.description.empty()) << entry.path << " " << option.synopsis();
      }
    }
  }
}

TEST(Manual, EveryExampleIsACommandLineOfItsCommand) {
  for (const CommandEntry& entry : command_table()) {
    std::vector<std::string> words = words_of(entry.example);
    if (words.front() == "source") continue;  // a shell's own; tried in tests/e2e/test_help.py
    ASSERT_EQ(words.front(), kProgram);
    words.erase(words.begin());
    ASSERT_TRUE(refuse_secrets(words)) << entry.example;
    const auto match = find_command(command_table(), words);
    ASSERT_TRUE(match) << entry.example;
    EXPECT_EQ(match->entry->path, entry.path);
    const std::unique_ptr<Command> command = entry.make();
    const auto options =
        std::vector<std::string>(words.begin() + static_cast<std::ptrdiff_t>(match->words), words.end());
    const auto parsed = parse_options(entry, *command, options);
    EXPECT_TRUE(parsed) << entry.example << ": " << (parsed ? "" : parsed.error().message);
  }
}

TEST(Manual, ExitCodesAreSortedAndEachIsThereOnce) {
  for (const CommandEntry& entry : command_table()) {
    int before = 0;
    for (const base::ErrorCode code : describe_command(entry).exit_codes) {
      EXPECT_GT(base::exit_code_of(code), before) << entry.path;
      before = base::exit_code_of(code);
    }
  }
}

TEST(Manual, HelpHasUsageOptionsExampleAndExitCodes) {
  const std::string text = help_text(describe_command(entry_of("completion")));
  EXPECT_THAT(text, HasSubstr("standfast completion [OPTION]... bash|zsh\n"));
  EXPECT_THAT(text, HasSubstr("\nExample:\n  source <(standfast completion bash)\n"));
  EXPECT_THAT(text, HasSubstr("   2  the command line is not understood\n"));
}

TEST(Manual, WrapsBetweenWords) {
  EXPECT_EQ(wrapped("one two three", 2, 9), "  one two\n  three\n");
  EXPECT_EQ(wrapped("averyverylongword b", 0, 5), "averyverylongword\nb\n");
  EXPECT_EQ(wrapped("", 4, 20), "\n");
}

}  // namespace
}  // namespace standfast::cli
