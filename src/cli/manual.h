// What a command takes, as a value: what its entry in the table says, and what it declares to CLI11. Help,
// manual pages and completion are made of nothing else.
//
// Threading: values. Invariant: nothing here depends on the host, the environment or the user, so that a page
// made at build time is the one `--help` shows.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/command_line.h"

namespace standfast::cli {

/// What stands behind an option's name; decides what a shell completes there.
enum class ValueKind : std::uint8_t {
  kNone,  ///< a flag
  kText,  ///< anything; nothing is completed
  kChoice,
  kFile,
  kDirectory,
  kTopic,  ///< of `help`: a command, or one of its other topics
};

struct OptionManual {
  std::vector<std::string> names = {};  ///< "-h", "--host"; none for an argument that has only its place
  std::string value = {};               ///< "HOST", "none|fetch|stream"; "" for a flag
  ValueKind kind = ValueKind::kNone;
  std::vector<std::string> choices = {};  ///< of kChoice
  bool value_may_be_missing = false;
  std::string description = {};

  /// "-X, --wal-method=none|fetch|stream", "--watch[=SECONDS]", "TOPIC".
  std::string synopsis() const;
};

struct OptionGroup {
  std::string title = {};
  std::vector<OptionManual> options = {};
};

struct CommandManual {
  std::string path = {};         ///< "primary setup"
  std::string summary = {};      ///< one lower-case line
  std::string description = {};  ///< sentences
  std::string example = {};
  std::vector<OptionManual> arguments = {};  ///< by their place
  std::vector<OptionGroup> groups = {};
  std::vector<base::ErrorCode> exit_codes =
      {};  ///< those of every command among them, by number; 0 is not here

  /// "standfast join [OPTION]..."
  std::string usage() const;
};

inline constexpr std::string_view kProgram = "standfast";

CommandManual describe_command(const CommandEntry& entry);
std::vector<CommandManual> describe_commands(std::span<const CommandEntry> commands);

/// What `standfast COMMAND --help` prints.
std::string help_text(const CommandManual& manual);
/// What `standfast help` prints.
std::string short_help(std::span<const CommandEntry> commands);
/// The commands, a line each.
std::string commands_text(std::span<const CommandEntry> commands);
/// What `standfast help exit-codes` prints.
std::string exit_codes_text();
inline constexpr std::string_view kExitCodesTopic = "exit-codes";

/// Lines of at most `width` columns, each with `indent` blanks before it; a word is never broken.
std::string wrapped(std::string_view text, std::size_t indent, std::size_t width);

}  // namespace standfast::cli
