// Judging slots, the data itself, and what a standby says of itself.
#include <fmt/format.h>

#include "base/time.h"
#include "pg/format/conninfo.h"
#include "pg/format/sql_text.h"
#include "setup/doctor_findings.h"

namespace standfast::setup {
namespace {

constexpr std::int64_t kOldXminTransactions = 10'000'000;
constexpr std::int64_t kLongPreparedSeconds = 3600;
constexpr std::uint64_t kMuchLagBytes = std::uint64_t{256} << 20U;
/// wal_receiver_status_interval is 10 s, and a walsender says something at least at half its timeout.
constexpr std::int64_t kLongSilenceSeconds = 60;

std::string drop_of(const std::string& slot) {
  return fmt::format("SELECT pg_drop_replication_slot({});", pg::quote_literal(slot));
}

void judge_slot(const Slot& slot, const ServerFacts& server, Findings& findings) {
  const std::string name = fmt::format("slot \"{}\"", slot.name);
  if (slot.is_lost()) {
    findings.wrong("slot_lost", name + " has lost WAL that its standby needs",
                   "that standby can never catch up",
                   "Copy the standby again (standfast join), and drop the slot if nothing uses it: " +
                       drop_of(slot.name));
    return;
  }
  if (slot.is_active) {
    findings.well("slot", name + " is in use");
    return;
  }
  if (!slot.restart_lsn) {
    findings.risk("slot_unused", name + " was never used", "its standby was not made, or does not use it",
                  "Make the standby, or drop the slot: " + drop_of(slot.name));
    return;
  }
  findings.risk("slot_inactive",
                fmt::format("{} is not in use and holds {} of WAL", name,
                            base::format_bytes(server.head.bytes_since(*slot.restart_lsn))),
                "it holds more with every write, until its limit or the end of the disk",
                "Start its standby, or, if that is gone for good, drop the slot: " + drop_of(slot.name));
}

void judge_logical_slot(const Slot& slot, bool is_failover, Findings& findings) {
  if (slot.is_physical || is_failover) return;
  findings.risk(
      "slot_logical", fmt::format("logical slot \"{}\" is on this server only", slot.name),
      "after a failover its subscriber has nowhere to go on from",
      "Make it again with failover = true and synchronise slots (17 and later), or plan for a new copy.");
}

void judge_conninfo(const DataDirectoryFacts& facts, Findings& findings) {
  const std::string text = setting_of(facts, "primary_conninfo").value_or("");
  if (text.empty()) {
    findings.wrong("primary_conninfo", "primary_conninfo is empty", "the standby does not know its primary",
                   "Run \"standfast join\" again, or set primary_conninfo.");
    return;
  }
  const auto conninfo = pg::Conninfo::parse(text);
  if (!conninfo) {
    findings.wrong("primary_conninfo", "primary_conninfo is not a connection string",
                   "the standby cannot connect",
                   "Set primary_conninfo to keywords and values: host=10.20.20.1 user=replicator.");
    return;
  }
  if (conninfo->get("password")) {
    findings.risk(
        "primary_conninfo", "the password stands in primary_conninfo",
        "every superuser, every backup and every copy of the settings has it",
        "Put it into a passfile that only the server's user can read, and name that: passfile=FILE.");
  } else {
    findings.well("primary_conninfo", "primary_conninfo holds no password");
  }
  const std::string mode = conninfo->get("sslmode").value_or("prefer");
  const std::string host = conninfo->get("host").value_or("");
  if (host.starts_with('/')) return;
  if (mode == "verify-ca" || mode == "verify-full") {
    findings.well("primary_tls", fmt::format("the standby verifies its primary (sslmode={})", mode));
  } else {
    findings.risk("primary_tls", fmt::format("the standby does not verify its primary (sslmode={})", mode),
                  "whoever stands in between can pretend to be it",
                  "Set sslmode=verify-ca with sslrootcert in primary_conninfo, as \"standfast join\" does.");
  }
}

void judge_passfile(const DataDirectoryFacts& facts, Findings& findings) {
  if (!facts.passfile) return;
  const PassfileFacts& passfile = *facts.passfile;
  if (!passfile.file) {
    findings.wrong("passfile", fmt::format("the passfile {} of primary_conninfo is not there", passfile.path),
                   "the standby has no password to connect with",
                   "Run \"standfast join\" again with a new token.");
  } else if ((passfile.file->mode & 077U) != 0) {
    findings.wrong(
        "passfile",
        fmt::format("the passfile {} can be read by others (mode {:o})", passfile.path, passfile.file->mode),
        "libpq takes no password from it then", fmt::format("Run: chmod 600 {}", passfile.path));
  } else if (!passfile.file->is_ours) {
    findings.wrong("passfile", fmt::format("the passfile {} belongs to another user", passfile.path),
                   "the server cannot read it", "Give it to the server's user.");
  } else {
    findings.well("passfile", "the passfile is private");
  }
}

void judge_receiver(const RunningFacts& running, const ServerFacts& standby, Findings& findings) {
  if (!standby.receiver) {
    findings.wrong(
        "streaming", "the standby does not stream: it has no WAL receiver",
        "it falls behind, and cannot take over without loss",
        "See the server's log for why it does not connect, and whether the primary can be reached.");
    return;
  }
  const WalReceiver& receiver = *standby.receiver;
  if (receiver.status.empty()) {
    findings.unknown("streaming", "whether the standby streams",
                     fmt::format("role \"{}\" may not see it", standby.role));
    return;
  }
  const std::string from = fmt::format("{} port {}", receiver.sender_host, receiver.sender_port);
  if (receiver.status != "streaming") {
    findings.wrong("streaming", fmt::format("the WAL receiver is {}", receiver.status), "nothing arrives",
                   "See the server's log.");
  } else {
    findings.well("streaming", fmt::format("streams from {} on timeline {}", from,
                                           standby.timeline ? standby.timeline->value() : 0));
  }
  if (running.receiver_silent_seconds && *running.receiver_silent_seconds > kLongSilenceSeconds) {
    findings.risk("silence",
                  fmt::format("the primary has said nothing for {}",
                              base::format_duration(base::Seconds(*running.receiver_silent_seconds))),
                  "it may be gone without a word",
                  "See whether the primary runs and the network between works.");
  }
  if (standby.primary_slot_name.empty()) {
    findings.risk("primary_slot_name", "the standby uses no slot",
                  "WAL that it misses while it is away may be removed on the primary",
                  "Set primary_slot_name to a slot of the primary.");
  }
}

void judge_replay(const ServerFacts& standby, Findings& findings) {
  if (standby.is_replay_paused) {
    findings.wrong("replay", "replay is paused", "queries see old data, and a promotion has to replay first",
                   "SELECT pg_wal_replay_resume(); see the log if it pauses again.");
    return;
  }
  std::optional<pg::Lsn> head = standby.head;
  if (standby.receiver && standby.receiver->latest_end) head = std::max(*head, *standby.receiver->latest_end);
  const std::uint64_t lag = standby.replay ? head->bytes_since(*standby.replay) : 0;
  if (lag > kMuchLagBytes && standby.apply_delay.count() == 0) {
    findings.risk("replay", fmt::format("replay is {} behind", base::format_bytes(lag)),
                  "queries see old data, and a promotion has to replay it first",
                  "See whether a long query holds it up (max_standby_streaming_delay), or the disk is slow.");
  } else {
    findings.well("replay", fmt::format("replay is {} behind", base::format_bytes(lag)));
  }
}

}  // namespace

void judge_slots(const DataDirectoryFacts& facts, std::vector<DoctorFinding>& into) {
  Findings findings(into, "slots");
  const ServerFacts* server = replication_of(facts);
  if (server == nullptr) {
    findings.unknown("slots", "the replication slots, and who uses them",
                     facts.server ? facts.server->replication.why_not : facts.server.why_not);
    return;
  }
  if (server->slots.empty()) findings.well("slots", "there is no replication slot");
  const auto& ages = facts.server->slot_ages;
  for (const Slot& slot : server->slots) {
    judge_slot(slot, *server, findings);
    SlotAges age;
    if (ages) {
      if (const auto found = ages->find(slot.name); found != ages->end()) age = found->second;
    }
    judge_logical_slot(slot, age.is_failover, findings);
    if (age.xmin_age > kOldXminTransactions) {
      findings.risk(
          "slot_xmin",
          fmt::format("slot \"{}\" holds back the clean-up of {} transactions", slot.name, age.xmin_age),
          "tables bloat, and in the end the server stops to protect its transaction numbers",
          "Start its standby, or drop the slot: " + drop_of(slot.name));
    }
  }
}

void judge_data(const DataDirectoryFacts& facts, std::vector<DoctorFinding>& into) {
  Findings findings(into, "data");
  if (facts.control) {
    if (facts.control->data_checksum_version == 0) {
      findings.risk("data_checksums", "the cluster has no page checksums",
                    "a page that rots on the disk is copied to every standby unnoticed",
                    "Stop the server and run pg_checksums --enable, on each of them.");
    } else {
      findings.well("data_checksums", "the cluster has page checksums");
    }
  }
  if (!facts.server) return;
  const RunningFacts& server = *facts.server;
  if (!server.collations) {
    findings.unknown("collations", "whether the collations are those of this host's libraries",
                     server.collations.why_not);
  } else {
    for (const CollationMismatch& mismatch : *server.collations) {
      findings.wrong(
          "collations",
          fmt::format("{} was made with collation version {}, and the library here has {}", mismatch.what,
                      mismatch.recorded, mismatch.actual),
          "text sorts differently now, so indexes on it miss rows and let duplicates in",
          "REINDEX what is sorted by it, then ALTER DATABASE or ALTER COLLATION ... REFRESH VERSION. "
          "Standbys need the same libraries.");
    }
    if (server.collations->empty()) {
      findings.well("collations",
                    "no collation differs from the libraries of this host, as far as it is recorded");
    }
  }
  if (server.prepared && server.prepared->count > 0) {
    const std::string what =
        fmt::format("{} prepared transactions, the oldest for {}", server.prepared->count,
                    base::format_duration(base::Seconds(server.prepared->oldest_seconds)));
    if (server.prepared->oldest_seconds > kLongPreparedSeconds) {
      findings.risk("prepared_transactions", what, "they hold locks, and hold back the clean-up of rows",
                    "COMMIT PREPARED or ROLLBACK PREPARED those that nobody finishes (pg_prepared_xacts).");
    } else {
      findings.well("prepared_transactions", what);
    }
  }
}

void judge_standby(const DataDirectoryFacts& facts, std::vector<DoctorFinding>& into) {
  if (!is_standby(facts)) return;
  Findings findings(into, "standby");
  if (facts.settings) {
    const bool is_hidden = facts.server && !setting_of(facts, "primary_conninfo");
    if (is_hidden) {
      findings.unknown("primary_conninfo", "primary_conninfo", "the role may not see it");
    } else {
      judge_conninfo(facts, findings);
    }
  }
  judge_passfile(facts, findings);
  const ServerFacts* server = replication_of(facts);
  if (server == nullptr) {
    findings.unknown("streaming", "whether the standby streams",
                     facts.server ? facts.server->replication.why_not : facts.server.why_not);
    return;
  }
  judge_receiver(*facts.server, *server, findings);
  judge_replay(*server, findings);
  if (facts.server->conflicts && *facts.server->conflicts > 0) {
    findings.risk("conflicts", fmt::format("replay has cancelled {} queries", *facts.server->conflicts),
                  "what the primary cleaned up was still read here",
                  "Set hot_standby_feedback = on, or raise max_standby_streaming_delay.");
  }
}

}  // namespace standfast::setup
