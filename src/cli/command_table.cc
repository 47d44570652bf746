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
       .summary = "a primary, a hot standby and a witness on this machine, verified",
       .example = "standfast demo --once",
       .make = make_demo_command,
       .description =
           "Makes two PostgreSQL servers in a folder of their own, copies one to the other, and proves that "
           "what is written on the primary arrives on the standby. Then a witness joins, the standby is cut "
           "off, clients go on committing, the primary is killed, and the standby is promoted: each row "
           "whose "
           "commit was acknowledged is there. The old primary comes back as a standby, and it says what to "
           "try next. Ctrl-C stops everything and removes it.",
       .exit_codes = sum_of({asks_a_server, controls_a_server, copies, proves})},
      {.path = "primary setup",
       .summary = "make a server the primary of its standbys",
       .example = "standfast primary setup -D /var/lib/postgresql/15/main --standby 10.20.20.2",
       .make = make_primary_setup_command,
       .description =
           "Looks at the server, says what is missing for the named standbys to copy and follow it, and for "
           "the "
           "named witnesses to keep its WAL, and "
           "changes only that: settings, a replication role, a line of pg_hba.conf for each address, a "
           "slot for each. It ends with the command to run on the other host and the token it asks "
           "for. A second run changes nothing. --remove-witness takes out a witness's line, slot, row and "
           "token; \"standfast sync disable\" comes before it. --agent makes the cluster's certificate "
           "authority in the secret store of this host, which becomes a member, starts an agent (as a "
           "service where "
           "the unit standfast-agent is installed and root runs this), and puts into each standby's token "
           "where the "
           "agent is and a secret that lets one host become a member, within a week.",
       .exit_codes = sum_of({asks_a_server, controls_a_server, copies, {kPendingRestart}})},
      {.path = "join",
       .summary = "a verified hot standby from the primary's token",
       .example = "standfast join -D /var/lib/postgresql/15/main --token-file /root/pgstandby1.token",
       .make = make_join_command,
       .description =
           "Copies the primary of the token into DIR, configures and starts the copy as a hot standby, and "
           "proves that it replicates. A data directory that is there is renamed aside with --replace, and "
           "never removed. Where the primary has an agent the copy comes from it, and one that was "
           "interrupted goes on when this is run again. A token that names the agent makes this host a "
           "member of the cluster first, with a certificate that it keeps; where that agent cannot be "
           "reached the copy is made over the replication protocol, and the next run, which then copies "
           "nothing, asks again.",
       .exit_codes = sum_of({asks_a_server, controls_a_server, copies, proves, {kToken}})},
      {.path = "standby clone",
       .summary = "copy a running server, with pg_basebackup's flags",
       .example =
           "standfast standby clone -h 10.20.20.1 -U replicator -D /var/lib/postgresql/15/main -P -v -R -X "
           "stream -C -S pgstandby1",
       .make = make_standby_clone_command,
       .description =
           "Takes a base backup and the WAL it needs, and puts the copy in place when it is whole. Until "
           "then what was there stays as it was. Every file is proved against the server's manifest. Where "
           "this host is a member of the cluster and the source has an agent the files come from it, in "
           "several streams, each page is checked where it arrives, the manifest is made here, and a copy "
           "that was interrupted goes on: run the same command again, or give it up with --abandon. A copy "
           "within which a database was moved to another tablespace is refused: the WAL of that leaves it "
           "empty.",
       .exit_codes = sum_of({asks_a_server, copies, {kServerControl}})},
      {.path = "standby rejoin",
       .summary = "an old primary or standby follows again, and only what differs is moved",
       .example = "standfast standby rejoin -h 10.20.20.2 -U replicator -D /var/lib/postgresql/15/main -S "
                  "pgstandby1 --discard-diverged",
       .make = make_standby_rejoin_command,
       .description =
           "Compares a stopped data directory of the same cluster with a running server, through that one's "
           "agent, and moves what differs; it is a standby of that server then. What it has that the server "
           "never had is told of, and given up only with --discard-diverged. Its WAL and its "
           "configuration files are kept beside. Before anything is changed each disk is found to have "
           "room. Killed at any point it is run again and goes on.",
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
           "and promotes the standby. Before that each witness is asked, again and again until none has "
           "more; "
           "what one has and the standby has not is streamed from there. Where that cannot be, or a witness "
           "goes on getting WAL because its primary lives, nothing is promoted.",
       .exit_codes = sum_of({asks_a_server, controls_a_server})},
      {.path = "status",
       .summary = "who replicates, how far behind, and what is wrong",
       .example = "standfast status -D /var/lib/postgresql/15/main",
       .make = make_status_command,
       .description =
           "Asks the servers that are named, and the primary of a standby, and shows every member with its "
           "lag and its slot. The exit code is that of the most serious finding. Beside DIR, which may be "
           "missing, it finds a copy that did not end, and in DIR a rejoin, and says what they hold back at "
           "their source and how to go on or give up; in json they are \"unfinished\".",
       .exit_codes = sum_of({asks_a_server, judges_status})},
      {.path = "verify",
       .summary = "prove that what is written on the primary arrives on the standby",
       .example = "standfast verify -D /var/lib/postgresql/15/main",
       .make = make_verify_command,
       .description =
           "Writes a row on the primary, waits until it is seen on the standby, and says how long that took.",
       .exit_codes = sum_of({asks_a_server, judges_status, proves})},
      {.path = "witness",
       .summary =
           "receive, keep and serve a primary's WAL, so that commits are safe without a second database",
       .example = "standfast witness -D /srv/wal --listen 10.20.20.3 --token-file witness1.token",
       .make = make_witness_command,
       .description =
           "Streams the primary's WAL into DIR as wal receive --synchronous does, and serves it as wal serve "
           "does, also while the primary is gone. What its standbys have passed may go; what no standby is "
           "known to have stays. The first start takes the token of primary setup --witness, and from it "
           "makes "
           "DIR, a passfile, a users file with the replication role, a certificate to serve with, and the "
           "configuration for each later start, which is just: standfast witness. As root it becomes DIR's "
           "owner, or postgres. The configuration has the sections [primary] conninfo, name, slot; [store] "
           "folder, keep_size, keep_time, slot_keep_size; [serve] listen, users, tls_certificate, tls_key, "
           "allow_cleartext; options win over it. SIGHUP reads it, users and certificates again: all but "
           "name, "
           "slot, folder and listen is taken up. SIGTERM ends it when all is durable, reported and sent. "
           "systemd is told when it is ready and how it stands (Type=notify).",
       .exit_codes = sum_of({asks_a_server, {kDamaged, kDiskFull, kSlot, kInUse, kToken}})},
      {.path = "agent",
       .summary = "serve this host's data directory to the other members of its cluster",
       .example = "standfast agent -D /var/lib/postgresql/15/main --listen 10.20.20.1",
       .make = make_agent_command,
       .description =
           "Serves lists of files, hashes of blocks and bytes, within base backups of its own server, to "
           "hosts that show a certificate of the cluster's authority; on the host with that authority it "
           "gives the certificates as well. primary setup --agent and join --agent start one. It runs as the "
           "owner of DIR, never as root, and renews this host's certificate from its tenth day on. The "
           "configuration has the section [agent] data_directory, listen, superuser, database, "
           "max_connections, max_strangers, max_backups; options win over it. Where neither says where to "
           "listen, it is where the command said that set the agent up. SIGHUP looks at certificate, key and "
           "the list of revoked certificates again; SIGTERM ends it, and the copies that go on are begun "
           "again. systemd is told when it is ready and how it stands (Type=notify).",
       .exit_codes = {kPermission, kConnect, kVersion, kPrecondition, kProtocol, kTimeout, kCertificate,
                      kAuthentication, kDiskFull, kDamaged, kInUse}},
      {.path = "member list",
       .summary = "who is a member of the cluster, and until when",
       .example = "standfast member list -D /var/lib/postgresql/15/main",
       .make = make_member_list_command,
       .description =
           "Shows who has a certificate of the cluster's authority, who had one, and who is invited by a "
           "token. To be asked on the host with the authority: the one that primary setup --agent was run "
           "on.",
       .exit_codes = {kPermission, kPrecondition, kProtocol, kVersion, kDamaged}},
      {.path = "member remove",
       .summary = "take a member's certificates back",
       .example = "standfast member remove pgstandby1 -D /var/lib/postgresql/15/main",
       .make = make_member_remove_command,
       .description =
           "Revokes all certificates that NAME has, and its invitation. The agent of this host lets it in no "
           "more within seconds, those of other hosts within minutes, as they get the list; a host that "
           "never "
           "gets it does so when the certificate expires. What the member has of roles and slots stays: a "
           "standby that streams goes on. A new token makes it a member again.",
       .exit_codes = {kPermission, kPrecondition, kProtocol, kVersion, kDamaged, kDiskFull, kInUse}},
      {.path = "sync show",
       .summary = "who must have a commit before a client is told of it",
       .example = "standfast sync show -D /var/lib/postgresql/15/main",
       .make = make_sync_show_command,
       .description = "Shows synchronous_standby_names, who streams by which name with which flush position, "
                      "and who of the list "
                      "is missing. Says where synchronous_commit = remote_apply makes commits wait for a "
                      "standby that replays.",
       .exit_codes = asks_a_server},
      {.path = "sync enable",
       .summary = "let commits wait for a witness or a standby",
       .example = "standfast sync enable pgstandby1 witness1 -D /var/lib/postgresql/15/main",
       .make = make_sync_enable_command,
       .description =
           "Adds the names to synchronous_standby_names, as ANY 1 unless something else is there or asked "
           "for. Refused "
           "until every name of the list streams, once, with a flush position. Says how to take it back.",
       .exit_codes = asks_a_server},
      {.path = "sync disable",
       .summary = "let commits wait for nobody, or for fewer",
       .example = "standfast sync disable -D /var/lib/postgresql/15/main",
       .make = make_sync_disable_command,
       .description = "Empties synchronous_standby_names, or takes the names out of it. Commits that wait "
                      "are released at once. Refused where the names that stay would hold up every commit.",
       .exit_codes = asks_a_server},
      {.path = "wal receive",
       .summary = "keep a server's WAL in a folder, with pg_receivewal's flags",
       .example = "standfast wal receive -h 10.20.20.1 -U replicator -D /srv/wal -S witness1 --synchronous",
       .make = make_wal_receive_command,
       .description =
           "Streams WAL into DIR, segment by segment as the server has it. What is reported as flushed is on "
           "the "
           "disk and ends with a whole record, so the server may count it as a synchronous standby. A broken "
           "connection is made again; a new timeline is followed unless it leaves acknowledged WAL behind. "
           "Ctrl-C makes everything durable, reports it and ends.",
       .exit_codes = sum_of({asks_a_server, {kDamaged, kDiskFull, kSlot, kInUse}})},
      {.path = "wal serve",
       .summary = "serve the WAL of a folder to standbys and pg_receivewal",
       .example =
           "standfast wal serve -D /srv/wal --listen 10.20.20.3 --users /etc/standfast/users --tls-cert "
           "/etc/standfast/server.crt --tls-key /etc/standfast/server.key",
       .make = make_wal_serve_command,
       .description =
           "Answers as the primary would on a physical replication connection: streaming, timelines, slots. "
           "A standby names it in primary_conninfo. Whoever connects logs in with a password "
           "(SCRAM-SHA-256); from other hosts only through TLS, unless clear text is allowed. What is served "
           "is proven to be on the disk when it starts. SIGHUP reads users, certificate and key again; "
           "Ctrl-C "
           "ends it when the standbys have all that is here.",
       .exit_codes = {kPrecondition, kVersion, kConnect, kDamaged, kDiskFull, kInUse, kProtocol,
                      kCertificate}},
      {.path = "wal get",
       .summary = "hand one WAL file to a recovery, as its restore_command",
       .example = "standfast wal get 000000010000000000000007 pg_wal/RECOVERYXLOG -D /srv/wal",
       .make = make_wal_get_command,
       .description =
           "For postgresql.conf: restore_command = 'standfast wal get %f %p -D /srv/wal'. FILE is a segment, "
           "packed or not, or a timeline's history; it gets to TARGET whole and durable, or not at all. A "
           ".partial segment is taken only where it ends its timeline, with zeros behind its last whole "
           "record. PostgreSQL tells three outcomes apart, so this command ends with 0; with 1 when the file "
           "or the whole folder is not there, which recovery takes for the end of the WAL; and with 200, "
           "which stops recovery, for everything else: the file is there and is damaged, short or cannot be "
           "read or written, or this command is not called as it should be. So recovery never ends early "
           "over a broken segment or a mistake in restore_command. A TERM signal ends it with 143."},
      {.path = "wal list",
       .summary = "what WAL is in a folder, and what lacks",
       .example = "standfast wal list -D /srv/wal",
       .make = make_wal_list_command,
       .description =
           "Shows by timeline which segments are there and in which form, how far the one that is not full "
           "is "
           "whole, and what lacks between them. It changes nothing and may run while WAL is received.",
       .exit_codes = {}},
      {.path = "wal verify",
       .summary = "prove that all WAL in a folder is whole",
       .example = "standfast wal verify -D /srv/wal",
       .make = make_wal_verify_command,
       .description =
           "Follows every record, from segment to segment and from timeline to timeline, and says up to "
           "where "
           "the WAL of each timeline is valid and what is damaged or lacks. It changes nothing and may run "
           "while WAL is received; the valid end is then that of the moment in which the last segment was "
           "read, and need not be on the disk yet.",
       .exit_codes = {kDamaged, kPrecondition}},
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
