#include "cli/command_table.h"

#include <initializer_list>
#include <vector>

#include "cli/commands.h"

namespace standfast::cli {
namespace {

using enum base::ErrorCode;
using Codes = std::vector<base::ErrorCode>;

/// The codes of a command are those of what it does.
Codes sum_of(std::initializer_list<Codes> parts) {
  Codes sum;
  for (const Codes& part : parts) sum.insert(sum.end(), part.begin(), part.end());
  return sum;
}

std::vector<CommandEntry> make_table() {
  const Codes asks_a_server = {kConnect,  kAuthentication, kVersion,     kPrecondition,
                               kProtocol, kTimeout,        kCertificate, kSql};
  const Codes controls_a_server = {kServerControl, kInUse, kDamaged};
  const Codes copies = {kTargetRefused, kDiskFull, kDamaged, kSlot, kInUse};
  const Codes judges_status = {kDamaged,  kNotStreaming, kLagging,
                               kSlotLost, kSlotInactive, kStandbyUnreachable};
  const Codes proves = {kReplayPaused, kReplayDelayed, kNotReplicating};
  return {
      {.path = "demo",
       .summary = "a primary and a hot standby on this machine, verified",
       .example = "standfast demo --once",
       .make = make_demo_command,
       .description =
           "Makes two PostgreSQL servers in a folder of their own, copies one to the other, proves that "
           "what is written on the primary arrives on the standby, and shows what to try next. Ctrl-C "
           "stops both and removes everything.",
       .exit_codes = sum_of({asks_a_server, controls_a_server, copies, proves})},
      {.path = "primary setup",
       .summary = "make a server the primary of its standbys",
       .example = "standfast primary setup -D /var/lib/postgresql/15/main --standby 10.20.20.2",
       .make = make_primary_setup_command,
       .description =
           "Looks at the server, says what is missing for the named standbys to copy and follow it, and "
           "changes only that: settings, a replication role, a line of pg_hba.conf for each address, a "
           "slot for each standby. It ends with the command to run on the standby and the token it asks "
           "for. A second run changes nothing.",
       .exit_codes = sum_of({asks_a_server, controls_a_server, copies, {kPendingRestart}})},
      {.path = "join",
       .summary = "a verified hot standby from the primary's token",
       .example = "standfast join -D /var/lib/postgresql/15/main --token-file /root/pgstandby1.token",
       .make = make_join_command,
       .description =
           "Copies the primary of the token into DIR, configures and starts the copy as a hot standby, and "
           "proves that it replicates. A data directory that is there is renamed aside with --replace, "
           "and never removed.",
       .exit_codes = sum_of({asks_a_server, controls_a_server, copies, proves, {kToken}})},
      {.path = "standby clone",
       .summary = "copy a running server, with pg_basebackup's flags",
       .example =
           "standfast standby clone -h 10.20.20.1 -U replicator -D /var/lib/postgresql/15/main -P -v -R -X "
           "stream -C -S pgstandby1",
       .make = make_standby_clone_command,
       .description =
           "Takes a base backup and the WAL it needs, proves every file against the server's manifest, and "
           "puts the copy in place when it is whole. Until then what was there stays as it was.",
       .exit_codes = sum_of({asks_a_server, copies, {kServerControl}})},
      {.path = "standby start",
       .summary = "start a standby and see that it streams",
       .example = "standfast standby start -D /var/lib/postgresql/15/main",
       .make = make_standby_start_command,
       .description =
           "Starts the standby through whatever runs it, waits until it takes connections, and says whether "
           "it streams and, if not, what it waits for.",
       .exit_codes = sum_of({asks_a_server, controls_a_server})},
      {.path = "standby stop",
       .summary = "stop a standby",
       .example = "standfast standby stop -D /var/lib/postgresql/15/main",
       .make = make_standby_stop_command,
       .description = "Stops the standby through whatever runs it. A primary is refused.",
       .exit_codes = sum_of({controls_a_server, {kVersion, kPrecondition, kTimeout}})},
      {.path = "standby promote",
       .summary = "make a standby a primary",
       .example = "standfast standby promote -D /var/lib/postgresql/15/main",
       .make = make_standby_promote_command,
       .description =
           "Asks whether the old primary still runs and how far it had got, says what would be left behind, "
           "and promotes the standby.",
       .exit_codes = sum_of({asks_a_server, controls_a_server})},
      {.path = "status",
       .summary = "who replicates, how far behind, and what is wrong",
       .example = "standfast status -D /var/lib/postgresql/15/main",
       .make = make_status_command,
       .description =
           "Asks the servers that are named, and the primary of a standby, and shows every member with its "
           "lag and its slot. The exit code is that of the most serious finding.",
       .exit_codes = sum_of({asks_a_server, judges_status})},
      {.path = "verify",
       .summary = "prove that what is written on the primary arrives on the standby",
       .example = "standfast verify -D /var/lib/postgresql/15/main",
       .make = make_verify_command,
       .description =
           "Writes a row on the primary, waits until it is seen on the standby, and says how long that took.",
       .exit_codes = sum_of({asks_a_server, judges_status, proves})},
      {.path = "doctor",
       .summary = "what on this host is well, what is risky for replication, and what to do",
       .example = "standfast doctor -D /var/lib/postgresql/15/main",
       .make = make_doctor_command,
       .description =
           "Reads the cluster, its configuration, its disks and the running server, and changes nothing: no "
           "server is started either. What it cannot see it says. The exit code is 0 while nothing is "
           "wrong, risks or not, and 10 when something is.",
       .exit_codes = {kPrecondition}},
      {.path = "help",
       .summary = "what a command takes, with an example",
       .example = "standfast help primary setup",
       .make = make_help_command,
       .description = "Without a topic it lists the commands. The topic is a command, or exit-codes."},
      {.path = "completion",
       .summary = "a script that completes commands and options in a shell",
       .example = "source <(standfast completion bash)",
       .make = make_completion_command,
       .description =
           "Prints a completion script for bash or zsh. Packages install it; without one, source it in "
           "~/.bashrc, or put it into a folder of zsh's fpath as _standfast."},
  };
}

}  // namespace

std::span<const CommandEntry> command_table() {
  static const std::vector<CommandEntry> table = make_table();
  return table;
}

}  // namespace standfast::cli
