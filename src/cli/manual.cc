#include "cli/manual.h"

#include <algorithm>
#include <array>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/table.h"

namespace standfast::cli {
namespace {

using base::ErrorCode;

constexpr std::size_t kHelpColumn = 30;
constexpr std::size_t kHelpWidth = 100;

/// What any command may end with.
constexpr auto kCommonExitCodes = std::to_array<ErrorCode>(
    {ErrorCode::kFailed, ErrorCode::kUsage, ErrorCode::kCancelled, ErrorCode::kPermission, ErrorCode::kIo});

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t end = std::min(text.find(separator), text.size());
    parts.emplace_back(text.substr(0, end));
    if (end == text.size()) return parts;
    text.remove_prefix(end + 1);
  }
}

/// The name of a value says what it is; docs/architecture.md has the names.
ValueKind kind_of(const std::string& value) {
  if (value.empty()) return ValueKind::kNone;
  if (value.find('|') != std::string::npos) return ValueKind::kChoice;
  if (value == "FILE") return ValueKind::kFile;
  if (value == "DIR") return ValueKind::kDirectory;
  if (value == "TOPIC") return ValueKind::kTopic;
  return ValueKind::kText;
}

OptionManual describe_option(const CLI::Option& option) {
  OptionManual manual;
  for (const std::string& name : option.get_snames()) manual.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) manual.names.push_back("--" + name);
  if (option.get_items_expected_max() > 0) manual.value = option.get_type_name();
  manual.kind = kind_of(manual.value);
  if (manual.kind == ValueKind::kChoice) manual.choices = split(manual.value, '|');
  manual.value_may_be_missing = !manual.value.empty() && option.get_items_expected_min() == 0;
  manual.description = option.get_description();
  const std::string& standard = option.get_default_str();
  if (!standard.empty() && manual.description.find("default") == std::string::npos) {
    manual.description += fmt::format(" (default: {})", standard);
  }
  return manual;
}

std::vector<ErrorCode> exit_codes_of(const CommandEntry& entry) {
  std::vector<ErrorCode> codes = entry.exit_codes;
  for (const ErrorCode code : kCommonExitCodes) codes.push_back(code);
  std::sort(codes.begin(), codes.end(),
            [](ErrorCode a, ErrorCode b) { return base::exit_code_of(a) < base::exit_code_of(b); });
  codes.erase(std::unique(codes.begin(), codes.end()), codes.end());
  return codes;
}

/// A name in the left column, its text in the right one.
std::string two_columns(const std::string& left, std::string_view right) {
  std::string text = "  " + left;
  const std::string lines = wrapped(right, kHelpColumn, kHelpWidth);
  if (text.size() + 2 > kHelpColumn) return text + "\n" + lines;
  return text + lines.substr(std::min(lines.size(), text.size()));
}

/// Long names stand below each other, whether there is a short one or not.
std::string aligned_synopsis(const OptionManual& option) {
  const bool is_long_only = !option.names.empty() && option.names.front().starts_with("--");
  return (is_long_only ? "    " : "") + option.synopsis();
}

}  // namespace

std::string OptionManual::synopsis() const {
  if (names.empty()) return value;
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  if (value.empty()) return text;
  const bool has_long = names.back().starts_with("--");
  if (value_may_be_missing) return text + "[" + (has_long ? "=" : "") + value + "]";
  return text + (has_long ? "=" : " ") + value;
}

std::string CommandManual::usage() const {
  std::string text = fmt::format("{} {} [OPTION]...", kProgram, path);
  for (const OptionManual& argument : arguments) {
    text += argument.value_may_be_missing ? fmt::format(" [{}]", argument.value) : " " + argument.value;
  }
  return text;
}

CommandManual describe_command(const CommandEntry& entry) {
  CommandManual manual{.path = std::string(entry.path),
                       .summary = std::string(entry.summary),
                       .description = std::string(entry.description),
                       .example = std::string(entry.example),
                       .exit_codes = exit_codes_of(entry)};
  const std::unique_ptr<Command> command = entry.make();
  ParsedOptions unused;
  std::string output;
  CLI::App app;
  declare_options(app, *command, unused, output);
  for (const std::string& title : app.get_groups()) {
    if (title.empty()) continue;
    OptionGroup group{.title = title};
    for (const CLI::Option* option : app.get_options()) {
      if (option->get_group() != title) continue;
      auto& into = option->nonpositional() ? group.options : manual.arguments;
      into.push_back(describe_option(*option));
    }
    if (!group.options.empty()) manual.groups.push_back(std::move(group));
  }
  return manual;
}

std::vector<CommandManual> describe_commands(std::span<const CommandEntry> commands) {
  std::vector<CommandManual> manuals;
  for (const CommandEntry& entry : commands) manuals.push_back(describe_command(entry));
  return manuals;
}

std::string wrapped(std::string_view text, std::size_t indent, std::size_t width) {
  std::string out;
  std::size_t column = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    if (column > 0 && column + 1 + word.size() > width) {
      out += "\n";
      column = 0;
    }
    if (column == 0) {
      out.append(indent, ' ');
      column = indent;
    } else {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return out + "\n";
}

std::string help_text(const CommandManual& manual) {
  std::string out =
      fmt::format("{} {}: {}\n\nUsage:\n  {}\n", kProgram, manual.path, manual.summary, manual.usage());
  if (!manual.description.empty()) out += "\n" + wrapped(manual.description, 0, kHelpWidth);
  if (!manual.arguments.empty()) out += "\nArguments:\n";
  for (const OptionManual& argument : manual.arguments) {
    out += two_columns(argument.synopsis(), argument.description);
  }
  for (const OptionGroup& group : manual.groups) {
    out += fmt::format("\n{}:\n", group.title);
    for (const OptionManual& option : group.options) {
      out += two_columns(aligned_synopsis(option), option.description);
    }
  }
  out += fmt::format("\nExample:\n  {}\n\nExit codes:\n   0  all is well\n", manual.example);
  for (const ErrorCode code : manual.exit_codes) {
    out += fmt::format("  {:>2}  {}\n", base::exit_code_of(code), base::description_of(code));
  }
  return out;
}

std::string short_help(std::span<const CommandEntry> commands) {
  return fmt::format(
      "{} turns PostgreSQL servers (12 to 18) into a primary and its hot standbys, and proves that they\n"
      "replicate.\n\nUsage:\n  {} COMMAND [OPTION]...\n\n{}"
      "\n  {} help COMMAND        what a command takes, with an example\n"
      "  {} help exit-codes     what the exit codes mean\n  {} --version\n",
      kProgram, kProgram, commands_text(commands), kProgram, kProgram, kProgram);
}

std::string commands_text(std::span<const CommandEntry> commands) {
  std::size_t width = 0;
  for (const CommandEntry& entry : commands) width = std::max(width, entry.path.size());
  std::string text = "Commands:\n";
  for (const CommandEntry& entry : commands)
    text += fmt::format("  {:<{}}  {}\n", entry.path, width, entry.summary);
  return text;
}

std::string exit_codes_text() {
  Table table({{"exit code", Align::kRight}, {"name", Align::kLeft}, {"meaning", Align::kLeft}});
  table.add_row({"0", "ok", "all is well"});
#define STANDFAST_ROW(code, exit_code, name, text) table.add_row({std::to_string(exit_code), name, text});
  STANDFAST_ERROR_TABLE(STANDFAST_ROW)
#undef STANDFAST_ROW
  return table.to_string();
}

}  // namespace standfast::cli
