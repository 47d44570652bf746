// The table of commands: of each a name, a line, an example, a factory, what it is for and how it can end.
// Help, manual pages and completion are made of it and of what the commands declare (manual.h).
//
// Threading: any thread. Ownership: lives as long as the process.
#pragma once

#include <span>

#include "cli/command_line.h"

namespace standfast::cli {

std::span<const CommandEntry> command_table();

}  // namespace standfast::cli
