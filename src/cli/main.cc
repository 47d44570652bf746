// The table of commands: a name, a line, an example, a factory. Everything else is in command_line.h.
#include <vector>

#include "cli/command_line.h"
#include "cli/commands.h"

int main(int argc, char** argv) {
  const std::vector<standfast::cli::CommandEntry> commands = {
      {"status", "who replicates, how far behind, and what is wrong",
       "standfast status -D /var/lib/postgresql/15/main", standfast::cli::make_status_command},
  };
  return standfast::cli::run_command_line(commands, argc, argv);
}
