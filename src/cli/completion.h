// Scripts that complete the commands, options and values of the manuals in a shell. They run nothing: what is
// completed stands in the script, and files are the shell's own to list. Nothing secret has a completion,
// because no option takes a secret as its value.
//
// Threading: pure functions. Follows: bash(1) Programmable Completion, zshcompsys(1) _arguments.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cli/manual.h"

namespace standfast::cli {

/// Needs bash 4.0 or later, and nothing of the package bash-completion.
std::string bash_completion(std::span<const CommandManual> manuals);
/// An autoload function of compinit: _standfast.
std::string zsh_completion(std::span<const CommandManual> manuals);

// The parts, for tests.

/// In single quotes, as every shell takes it.
std::string shell_single_quoted(std::string_view text);
/// A description in a spec of _arguments: its brackets, colons and backslashes escaped.
std::string zsh_spec_escaped(std::string_view text);

}  // namespace standfast::cli
