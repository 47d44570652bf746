#include "setup/doctor_findings.h"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include "pg/format/support.h"

namespace standfast::setup {
namespace {

std::string describe_server(const DataDirectoryFacts& facts) {
  const std::string version = facts.server ? facts.server->version.to_string() : std::to_string(facts.major);
  return fmt::format("{}, PostgreSQL {}, {}", is_standby(facts) ? "standby" : "primary", version,
                     facts.is_running ? "running" : "stopped");
}

void judge_start(const DataDirectoryFacts& facts, Findings& findings) {
  if (!facts.start) {
    findings.unknown("start_at_boot", "whether the server starts with the host", facts.start.why_not);
    return;
  }
  const StartFacts& start = *facts.start;
  const char* why = "after a reboot the server stays down until someone starts it";
  if (!start.debian_cluster.empty()) {
    if (start.debian_start == server::DebianStart::kAuto) {
      findings.well("start_at_boot",
                    fmt::format("Debian's cluster {} starts with the host", start.debian_cluster));
    } else {
      findings.risk(
          "start_at_boot",
          fmt::format("Debian's cluster {} does not start with the host (start.conf)", start.debian_cluster),
          why, "Write auto into its start.conf.");
    }
  } else if (start.unit.empty()) {
    findings.risk("start_at_boot", "no service of this host runs this cluster", why,
                  "Make a systemd unit for it, or keep it as one of Debian's clusters (pg_createcluster).");
  } else if (start.unit_comes_back) {
    findings.well("start_at_boot", fmt::format("{} starts with the host", start.unit));
  } else {
    findings.risk("start_at_boot", fmt::format("{} is {}", start.unit, start.unit_state), why,
                  fmt::format("Run: systemctl enable {}", start.unit));
  }
}

void judge_state(const DataDirectoryFacts& facts, Findings& findings) {
  if (!facts.control) {
    findings.unknown("control_file", "what pg_control says", facts.control.why_not);
    return;
  }
  const pg::DbState state = facts.control->state;
  const std::string words(pg::describe(state));
  const bool was_stopped = state == pg::DbState::kShutDown || state == pg::DbState::kShutDownInRecovery;
  if (facts.is_running) {
    findings.well("state", fmt::format("the server runs, {}", words));
  } else if (was_stopped) {
    findings.risk("state", fmt::format("the server does not run ({})", words),
                  "nothing is replicated meanwhile", "Start it, if it is to run.");
  } else {
    findings.risk("state", fmt::format("the server does not run, and was not stopped cleanly ({})", words),
                  "it was killed, or this is a copy", "Start it: it recovers by its WAL. Look into its log.");
  }
}

void judge_signals(const DataDirectoryFacts& facts, Findings& findings) {
  if (facts.has_recovery_conf) {
    findings.wrong("recovery_conf", "recovery.conf is in the data directory",
                   "no server from 12 on starts while it is there",
                   "Put its settings into postgresql.conf, make standby.signal, and rename recovery.conf.");
  }
  const ServerFacts* server = replication_of(facts);
  if (server != nullptr && !server->is_in_recovery && facts.is_standby) {
    findings.wrong("standby_signal", "standby.signal is there although the server is a primary",
                   "the next start makes it a standby", "Remove standby.signal, if it is to stay a primary.");
  }
  if (server != nullptr && !server->is_in_recovery && facts.has_backup_label) {
    findings.risk("backup_label", "backup_label lies in the data directory of a running primary",
                  "after a crash the server would recover from there",
                  "End the exclusive backup that made it (pg_stop_backup), or remove it if none runs.");
  }
  if (!facts.is_running && facts.has_recovery_signal) {
    findings.risk("recovery_signal", "recovery.signal is there",
                  "the next start recovers to a target and then opens a new timeline",
                  "Remove it, if this is to be a standby or a primary as it is.");
  }
}

/// Which release wrote the WAL a standby does not know; that of its primary can be asked there.
void judge_replay_of_older_releases(const DataDirectoryFacts& facts, Findings& findings) {
  using OldMultixids = pg::Version::OldMultixids;
  if (!facts.server || !is_standby(facts)) return;
  const pg::Version version = facts.server->version;
  const OldMultixids replay = version.replay_of_old_multixids();
  if (replay == OldMultixids::kUnderstood) return;
  findings.risk(
      "replay_of_older_releases",
      fmt::format("{} {} what releases before {} wrote", version.to_string(),
                  replay == OldMultixids::kDeadlock ? "can wait for ever replaying" : "can fail replaying",
                  version.first_with_new_multixids().to_string()),
      "with an older primary replay stops, and the standby falls behind",
      fmt::format("Keep the primary at {} or later, or update this server to {} or later.",
                  version.first_with_new_multixids().to_string(),
                  version.first_sound_with_old_multixids().to_string()));
}

}  // namespace

const ServerFacts* replication_of(const DataDirectoryFacts& facts) {
  return facts.server && facts.server->replication ? &*facts.server->replication : nullptr;
}

bool is_standby(const DataDirectoryFacts& facts) {
  const ServerFacts* server = replication_of(facts);
  return server != nullptr ? server->is_in_recovery : facts.is_standby;
}

std::optional<std::string> setting_of(const DataDirectoryFacts& facts, std::string_view name) {
  if (!facts.settings) return std::nullopt;
  const auto found = facts.settings->find(name);
  return found == facts.settings->end() ? std::nullopt : std::optional(found->second.value);
}

std::string_view name_of(Health health) {
  switch (health) {
    case Health::kWell:
      return "well";
    case Health::kUnknown:
      return "unknown";
    case Health::kRisk:
      return "risk";
    case Health::kWrong:
      return "wrong";
  }
  return "";
}

std::size_t DoctorReport::count(Health health) const {
  return static_cast<std::size_t>(
      std::count_if(findings.begin(), findings.end(),
                    [&](const DoctorFinding& finding) { return finding.health == health; }));
}

Health DoctorReport::worst() const {
  Health worst = Health::kWell;
  for (const DoctorFinding& finding : findings) worst = std::max(worst, finding.health);
  return worst;
}

int DoctorReport::exit_code() const {
  return worst() == Health::kWrong ? base::exit_code_of(base::ErrorCode::kPrecondition) : 0;
}

void judge_installation(const DoctorFacts& facts, std::vector<DoctorFinding>& into) {
  Findings findings(into, "programs");
  for (const ProgramsFacts& programs : facts.programs) {
    findings.well("programs",
                  fmt::format("PostgreSQL {} in {}", programs.version.to_string(), programs.bin_directory));
  }
  if (!facts.cluster) {
    if (facts.programs.empty()) {
      findings.risk("programs", "no PostgreSQL from 12 to 18 is installed here",
                    "this host can be no standby",
                    "Install the major of the primary, or name its folder with --pg-bin.");
    }
    return;
  }
  const DataDirectoryFacts& cluster = *facts.cluster;
  if (!cluster.programs) {
    findings.unknown("programs", fmt::format("the programs of PostgreSQL {}", cluster.major),
                     cluster.programs.why_not);
  } else {
    const ProgramsFacts& programs = *cluster.programs;
    findings.well("programs",
                  fmt::format("PostgreSQL {} in {}", programs.version.to_string(), programs.bin_directory));
    if (cluster.server && cluster.server->version != programs.version) {
      findings.risk("running_release",
                    fmt::format("the server that runs is {}, its programs are {}",
                                cluster.server->version.to_string(), programs.version.to_string()),
                    "what the newer release mends is not mended until a restart", "Restart the server.");
    }
  }
  const pg::Version version = cluster.server
                                  ? cluster.server->version
                                  : pg::Version::parse(std::to_string(cluster.major)).value_or(pg::Version());
  if (pg::last_fix_unix_seconds(version) < facts.now_unix_seconds) {
    findings.risk("release", fmt::format("PostgreSQL {} gets no fixes any more", version.major()),
                  "faults that are found now stay in it", "Plan the upgrade to a newer major.");
  }
  judge_replay_of_older_releases(cluster, findings);
}

void judge_cluster(const DataDirectoryFacts& facts, std::vector<DoctorFinding>& into) {
  Findings findings(into, "cluster");
  judge_state(facts, findings);
  judge_signals(facts, findings);
  judge_start(facts, findings);
}

DoctorReport judge(const DoctorFacts& facts) {
  DoctorReport report;
  if (facts.cluster) {
    const DataDirectoryFacts& cluster = *facts.cluster;
    report.data_directory = cluster.path;
    report.server = describe_server(cluster);
    judge_cluster(cluster, report.findings);
    judge_installation(facts, report.findings);
    judge_settings(cluster, report.findings);
    judge_configuration(cluster, report.findings);
    judge_access(cluster, report.findings);
    judge_tls(cluster, facts.now_unix_seconds, report.findings);
    judge_slots(cluster, report.findings);
    judge_standby(cluster, report.findings);
    judge_data(cluster, report.findings);
    judge_folders(cluster, report.findings);
    judge_leftovers(cluster, report.findings);
    return report;
  }
  Findings findings(report.findings, "cluster");
  if (facts.was_named) {
    findings.wrong("cluster", facts.cluster.why_not, "there is nothing to look at",
                   "Give the data directory of a PostgreSQL cluster with -D.");
  } else {
    findings.unknown("cluster", "no cluster was looked at", facts.cluster.why_not);
  }
  judge_installation(facts, report.findings);
  return report;
}

}  // namespace standfast::setup
