// From argv to an exit code: finds the command, refuses secrets on the command line, parses options, prints
// help (manual.h), runs the command as the right user and says its error.
//
// Threading: call once, from main(). Fails: everything ends as an exit code of base/error_table.h and a line
// on standard error; with --output json also as {"error": ...} on standard output.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/command.h"

namespace standfast::cli {

struct CommandEntry {
  std::string_view path;     ///< "primary setup"
  std::string_view summary;  ///< one lower-case line
  std::string_view example;  ///< a whole command line that works
  std::unique_ptr<Command> (*make)();
  std::string_view description = {};             ///< what it does, in sentences
  std::vector<base::ErrorCode> exit_codes = {};  ///< beside those that every command can end with
};

int run_command_line(std::span<const CommandEntry> commands, int argc, const char* const* argv);

// The parts, for tests.

/// kUsage if an argument is a token or holds a password: whatever stands on a command line can be seen by
/// every user of the host. The message never quotes the argument.
base::Result<void> refuse_secrets(std::span<const std::string> arguments);
/// Whether a conninfo string or URI, or an option with one as its value, holds a password.
bool holds_password(std::string_view argument);

struct CommandMatch {
  const CommandEntry* entry = nullptr;
  std::size_t words = 0;  ///< of the command line that name it
};
/// The entry whose path the arguments begin with; kUsage otherwise.
base::Result<CommandMatch> find_command(std::span<const CommandEntry> commands,
                                        std::span<const std::string> arguments);

struct ParsedOptions {
  OutputFormat output = OutputFormat::kText;
  bool verbose = false;
  std::optional<std::string> help;  ///< the text asked for with -? or --help; nothing else is done then
};
/// The command's own options and those of every command; `output` gets the word of --output.
void declare_options(CLI::App& app, Command& command, ParsedOptions& parsed, std::string& output);
base::Result<ParsedOptions> parse_options(const CommandEntry& entry, Command& command,
                                          std::vector<std::string> arguments);

std::string render_error(const base::Error& error);
nlohmann::ordered_json error_as_json(const base::Error& error);

}  // namespace standfast::cli
