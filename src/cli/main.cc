// The table of commands: a name, a line, an example, a factory. Everything else is in command_line.h.
#include <vector>

#include "cli/command_line.h"
#include "cli/commands.h"

int main(int argc, char** argv) {
  const std::vector<standfast::cli::CommandEntry> commands = {
      {"primary setup", "make a server the primary of its standbys",
       "standfast primary setup -D /var/lib/postgresql/15/main --standby 10.20.20.2",
       standfast::cli::make_primary_setup_command},
      {"status", "who replicates, how far behind, and what is wrong",
       "standfast status -D /var/lib/postgresql/15/main", standfast::cli::make_status_command},
      {"verify", "prove that what is written on the primary arrives on the standby",
       "standfast verify -D /var/lib/postgresql/15/main", standfast::cli::make_verify_command},
  };
  return standfast::cli::run_command_line(commands, argc, argv);
}
