// Judging settings and the files they stand in.
#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "base/time.h"
#include "setup/doctor_findings.h"

namespace standfast::setup {
namespace {

std::int64_t number_of(std::string_view text) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string alter_system(std::string_view name, std::string_view value) {
  return fmt::format("ALTER SYSTEM SET {} = {};", name, value);
}

/// What is asked of the settings of a cluster, with the ones that it has.
class SettingsJudge {
 public:
  SettingsJudge(const DataDirectoryFacts& facts, std::vector<DoctorFinding>& into)
      : facts_(facts), findings_(into, "settings") {}

  void judge_all() {
    judge_wal_level();
    judge_count("max_wal_senders", "a copy takes two, and each standby one");
    judge_count("max_replication_slots", "each standby has one");
    judge_listen_addresses();
    judge_switch("hot_standby", "queries cannot read on the standby, and its state cannot be asked");
    judge_wal_kept();
    judge_timeout("wal_sender_timeout");
    judge_timeout("wal_receiver_timeout");
    judge_crash_safety();
    judge_archiving();
    judge_standby_settings();
  }

 private:
  std::optional<std::string> get(std::string_view name) const { return setting_of(facts_, name); }

  void judge_wal_level() {
    const auto level = get("wal_level");
    if (!level) return;
    if (*level == "minimal") {
      findings_.wrong("wal_level", "wal_level is minimal", "no standby can be made of this server's WAL",
                      alter_system("wal_level", "'replica'") + " Then restart the server.");
    } else {
      findings_.well("wal_level", fmt::format("wal_level is {}", *level));
    }
  }

  void judge_count(std::string_view name, std::string_view use) {
    const auto count = get(name);
    if (!count) return;
    const std::string what = fmt::format("{} is {}", name, *count);
    const std::int64_t number = number_of(*count);
    const std::string remedy = alter_system(name, "10") + " Then restart the server.";
    if (number == 0) {
      findings_.wrong(name, what, fmt::format("nothing can replicate from here: {}", use), remedy);
    } else if (number < 3) {
      findings_.risk(name, what, std::string(use), remedy);
    } else {
      findings_.well(name, what);
    }
  }

  void judge_listen_addresses() {
    const auto addresses = get("listen_addresses");
    if (!addresses) return;
    const std::string what = fmt::format("listen_addresses is \"{}\"", *addresses);
    const bool is_local_only =
        addresses->empty() || *addresses == "localhost" || *addresses == "127.0.0.1" || *addresses == "::1";
    if (is_local_only) {
      findings_.risk("listen_addresses", what,
                     is_standby(facts_) ? "after a promotion no other host can connect"
                                        : "no other host can connect, so no standby on one",
                     "\"standfast primary setup\" sets it, or " + alter_system("listen_addresses", "'*'"));
    } else {
      findings_.well("listen_addresses", what);
    }
  }

  void judge_switch(std::string_view name, std::string_view why_off_is_bad) {
    const auto value = get(name);
    if (!value) return;
    const std::string what = fmt::format("{} is {}", name, *value);
    if (*value == "off") {
      findings_.risk(name, what, std::string(why_off_is_bad), alter_system(name, "on"));
    } else {
      findings_.well(name, what);
    }
  }

  void judge_wal_kept() {
    const auto limit = get("max_slot_wal_keep_size");
    const ServerFacts* server = replication_of(facts_);
    const bool has_slots = server != nullptr && !server->slots.empty();
    if (limit && *limit == "-1" && has_slots) {
      findings_.risk("max_slot_wal_keep_size", "max_slot_wal_keep_size is -1: without limit",
                     "a slot whose standby is away keeps WAL until the disk is full and the server stops",
                     "Set it to what the disk can spare, above what a standby may miss: " +
                         alter_system("max_slot_wal_keep_size", "'10GB'"));
    } else if (limit) {
      findings_.well("max_slot_wal_keep_size",
                     fmt::format("max_slot_wal_keep_size is {}",
                                 *limit == "-1" ? "-1, and there is no slot" : *limit + "MB"));
    }
    if (server == nullptr || is_standby(facts_)) return;
    const bool keeps_wal =
        number_of(get("wal_keep_size").value_or(get("wal_keep_segments").value_or("0"))) > 0;
    const auto follows_without_slot = [&](const WalSender& sender) {
      const bool has_slot = std::any_of(server->slots.begin(), server->slots.end(),
                                        [&](const Slot& slot) { return slot.active_pid == sender.pid; });
      return !has_slot && sender.state != "backup";
    };
    const auto sender = std::find_if(server->senders.begin(), server->senders.end(), follows_without_slot);
    if (sender != server->senders.end() && !keeps_wal) {
      findings_.risk(
          "wal_keep_size",
          fmt::format("\"{}\" streams without a slot, and no WAL is kept for it", sender->application_name),
          "a standby that is away for a while finds its WAL removed and must be copied again",
          "Give it a slot (primary_slot_name), or set wal_keep_size.");
    }
  }

  void judge_timeout(std::string_view name) {
    const auto value = get(name);
    if (!value) return;
    if (number_of(*value) == 0) {
      findings_.risk(name, fmt::format("{} is 0: never", name),
                     "a peer that is gone without a word is never noticed", alter_system(name, "'1min'"));
    } else {
      findings_.well(
          name, fmt::format("{} is {}", name, base::format_duration(base::Milliseconds(number_of(*value)))));
    }
  }

  void judge_crash_safety() {
    if (const auto fsync = get("fsync")) {
      if (*fsync == "off") {
        findings_.wrong("fsync", "fsync is off", "when the host crashes, the whole cluster may be lost",
                        alter_system("fsync", "on"));
      } else {
        findings_.well("fsync", "fsync is on");
      }
    }
    if (const auto pages = get("full_page_writes")) {
      if (*pages == "off") {
        findings_.risk("full_page_writes", "full_page_writes is off",
                       "a crash can tear pages, and no copy can be taken from a standby of this server",
                       alter_system("full_page_writes", "on"));
      } else {
        findings_.well("full_page_writes", "full_page_writes is on");
      }
    }
  }

  void judge_archiving() {
    const auto mode = get("archive_mode");
    if (!mode) return;
    const bool has_command =
        !get("archive_command").value_or("").empty() || !get("archive_library").value_or("").empty();
    if (*mode == "off") {
      findings_.well("archive_mode", "archive_mode is off");
    } else if (!has_command) {
      findings_.risk("archive_mode",
                     fmt::format("archive_mode is {}, and there is no archive_command", *mode),
                     "WAL is kept until it is archived, so the disk fills up",
                     "Set archive_command or archive_library, or archive_mode to off with a restart.");
    } else {
      findings_.well("archive_mode", fmt::format("archive_mode is {}", *mode));
    }
    if (!facts_.server || !facts_.server->archiver) return;
    const ArchiverFacts& archiver = *facts_.server->archiver;
    if (*mode != "off" && archiver.fails_now) {
      findings_.wrong("archiving", fmt::format("archiving of {} fails", archiver.last_failed_wal),
                      "WAL is kept until it is archived, so the disk fills up",
                      "See the server's log for what the archive command says.");
    }
  }

  void judge_standby_settings() {
    if (!is_standby(facts_)) return;
    if (const auto delay = get("recovery_min_apply_delay"); delay && number_of(*delay) > 0) {
      findings_.risk("recovery_min_apply_delay",
                     fmt::format("the standby replays {} late on purpose",
                                 base::format_duration(base::Milliseconds(number_of(*delay)))),
                     "a promotion has to replay that first, and WAL is kept for it here",
                     "Do not count on this standby for a quick failover.");
    }
    const auto restore = get("restore_command");
    if (restore && !restore->empty()) findings_.well("restore_command", "restore_command is set");
    if (const auto feedback = get("hot_standby_feedback")) {
      findings_.well("hot_standby_feedback", fmt::format("hot_standby_feedback is {}", *feedback));
    }
  }

  const DataDirectoryFacts& facts_;
  Findings findings_;
};

/// Debian and others name their files so; nothing is lost by it.
bool is_place_of_a_file(std::string_view setting) {
  constexpr auto kPlaces =
      std::to_array<std::string_view>({"config_file", "data_directory", "hba_file", "ident_file",
                                       "external_pid_file", "unix_socket_directories", "port"});
  return std::find(kPlaces.begin(), kPlaces.end(), setting) != kPlaces.end();
}

void judge_synchronous(const DataDirectoryFacts& facts, Findings& findings) {
  const auto names = setting_of(facts, "synchronous_standby_names");
  const auto commit = setting_of(facts, "synchronous_commit");
  const ServerFacts* server = replication_of(facts);
  if (!names || server == nullptr || server->is_in_recovery) return;
  const int wanted = synchronous_standbys_wanted(*names);
  if (wanted == 0) {
    findings.well("synchronous_standby_names", "no commit waits for a standby");
    return;
  }
  const auto present = std::count_if(
      server->senders.begin(), server->senders.end(),
      [](const WalSender& sender) { return sender.sync_state == "sync" || sender.sync_state == "quorum"; });
  const std::string what =
      fmt::format("{} of {} synchronous standbys are here", std::min<long>(present, wanted), wanted);
  if (present >= wanted) {
    findings.well("synchronous_standby_names", what);
  } else if (commit && (*commit == "off" || *commit == "local")) {
    findings.risk("synchronous_standby_names", what,
                  fmt::format("sessions that raise synchronous_commit (now {}) wait for ever", *commit),
                  "Start the standby, or take its name out of synchronous_standby_names.");
  } else {
    findings.wrong("synchronous_standby_names", what, "every commit waits until they are",
                   "Start the standby, or take its name out of synchronous_standby_names and reload.");
  }
}

void judge_files(const RunningFacts& server, Findings& findings) {
  if (!server.conf_errors) {
    findings.unknown("configuration_files", "whether the configuration files are without errors",
                     server.conf_errors.why_not);
    return;
  }
  for (const FileError& error : *server.conf_errors) {
    findings.wrong(
        "configuration_files", fmt::format("{} line {}: {}", error.file, error.line, error.message),
        "the server does not start with that, and a reload does nothing", "Mend or remove that line.");
  }
  if (server.conf_errors->empty())
    findings.well("configuration_files", "the configuration files are without errors");
}

}  // namespace

int synchronous_standbys_wanted(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) return 0;
  // "FIRST 2 (a, b)", "ANY 2 (a, b)", "2 (a, b)"; a list without a number means 1.
  const std::size_t bracket = text.find('(');
  if (bracket == std::string_view::npos) return 1;
  const std::string_view head = text.substr(begin, bracket - begin);
  const std::size_t digit = head.find_first_of("0123456789");
  return digit == std::string_view::npos ? 1 : static_cast<int>(number_of(head.substr(digit)));
}

void judge_settings(const DataDirectoryFacts& facts, std::vector<DoctorFinding>& into) {
  Findings findings(into, "settings");
  if (!facts.settings) {
    findings.unknown("settings", "the settings of the server", facts.settings.why_not);
    return;
  }
  if (!facts.server) {
    findings.unknown("settings", "the settings in force; these are what the files say", facts.server.why_not);
  }
  SettingsJudge(facts, into).judge_all();
  judge_synchronous(facts, findings);
}

void judge_configuration(const DataDirectoryFacts& facts, std::vector<DoctorFinding>& into) {
  Findings findings(into, "configuration");
  if (facts.server) judge_files(*facts.server, findings);
  if (!facts.configuration_error.empty()) {
    findings.wrong("configuration_files", facts.configuration_error, "the server does not start with that",
                   "Mend or remove that line.");
  }
  if (!facts.settings) return;
  if (setting_of(facts, "allow_alter_system").value_or("on") == "off") {
    findings.risk("allow_alter_system", "allow_alter_system is off",
                  "settings are kept elsewhere, so \"standfast primary setup\" changes none",
                  "Put the lines that it prints into the files that are kept.");
  }
  for (const auto& [name, setting] : *facts.settings) {
    if (setting.source == "command line" && !is_place_of_a_file(name)) {
      findings.risk("command_line", fmt::format("{} is set on the server's command line", name),
                    "no configuration file can change it",
                    "Take it out of the unit or script that starts the server.");
    }
    if (setting.is_pending_restart) {
      findings.risk("pending_restart", fmt::format("{} was changed and waits for a restart", name),
                    "what runs is not what the files say", "Restart the server.");
    }
  }
}

}  // namespace standfast::setup
