// The table of commands: a name, a line, an example, a factory. Everything else is in command_line.h.
#include <vector>

#include "cli/command_line.h"
#include "cli/commands.h"

int main(int argc, char** argv) {
  using namespace standfast::cli;
  const std::vector<CommandEntry> commands = {
      {"demo", "a primary and a hot standby on this machine, verified", "standfast demo", make_demo_command},
      {"primary setup", "make a server the primary of its standbys",
       "standfast primary setup -D /var/lib/postgresql/15/main --standby 10.20.20.2",
       make_primary_setup_command},
      {"join", "a verified hot standby from the primary's token",
       "standfast join -D /var/lib/postgresql/15/main", make_join_command},
      {"standby clone", "copy a running server, with pg_basebackup's flags",
       "standfast standby clone -h 10.20.20.1 -U replicator -D /var/lib/postgresql/15/main -P -v -R -X "
       "stream -C -S pgstandby1",
       make_standby_clone_command},
      {"standby start", "start a standby and see that it streams",
       "standfast standby start -D /var/lib/postgresql/15/main", make_standby_start_command},
      {"standby stop", "stop a standby", "standfast standby stop -D /var/lib/postgresql/15/main",
       make_standby_stop_command},
      {"standby promote", "make a standby a primary",
       "standfast standby promote -D /var/lib/postgresql/15/main", make_standby_promote_command},
      {"status", "who replicates, how far behind, and what is wrong",
       "standfast status -D /var/lib/postgresql/15/main", make_status_command},
      {"verify", "prove that what is written on the primary arrives on the standby",
       "standfast verify -D /var/lib/postgresql/15/main", make_verify_command},
  };
  return run_command_line(commands, argc, argv);
}
