#include "pg/server/control.h"

#include <algorithm>

#include <fmt/format.h>
#include <unistd.h>

#include "env/process.h"
#include "pg/server/systemd.h"

namespace standfast::server {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr const char* kPgCtlCluster = "/usr/bin/pg_ctlcluster";

std::string_view word_of(ControlAction action) {
  switch (action) {
    case ControlAction::kStart:
      return "start";
    case ControlAction::kStop:
      return "stop";
    case ControlAction::kRestart:
      return "restart";
  }
  return "";
}

std::string_view word_of(StopMode mode) {
  switch (mode) {
    case StopMode::kSmart:
      return "smart";
    case StopMode::kFast:
      return "fast";
    case StopMode::kImmediate:
      return "immediate";
  }
  return "";
}

UnitAction unit_action_of(ControlAction action) {
  switch (action) {
    case ControlAction::kStart:
      return UnitAction::kStart;
    case ControlAction::kStop:
      return UnitAction::kStop;
    case ControlAction::kRestart:
      return UnitAction::kRestart;
  }
  return UnitAction::kStart;
}

/// pg_ctl is given a little more than we wait, so that it is we who decide when the time is over.
std::string pg_ctl_timeout(const env::Wait& wait) {
  return std::to_string(std::chrono::ceil<base::Seconds>(wait.deadline.remaining()).count() + 2);
}

std::string shell_quoted(const std::string& text) {
  const bool is_plain = !text.empty() && text.find_first_not_of(
                                             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789_-+./@:=,") == std::string::npos;
  if (is_plain) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace

Result<ServerControl> ServerControl::choose(env::FileSystem& files, const Cluster& cluster,
                                            const Installation& installation, RootHelper* root) {
  if (installation.version.major() != cluster.major()) {
    return Error(ErrorCode::kVersion,
                 fmt::format("\"{}\" is of PostgreSQL {}, but the programs in \"{}\" are of {}",
                             cluster.data_directory(), cluster.major(), installation.bin_directory,
                             installation.version.to_string()),
                 fmt::format("Name the bin folder of PostgreSQL {} with --pg-bin.", cluster.major()));
  }
  ServerControl control(files, cluster, installation);
  control.root_ = root;
  const auto wait = env::Wait::for_at_most(kSystemctlQuestionTimeout);
  control.unit_ = TRY(find_unit(files, cluster.data_directory(), cluster.major(), wait)).value_or("");
  if (!control.unit_.empty() && root != nullptr) {
    control.manager_ = Manager::kSystemd;
  } else if (cluster.debian()) {
    if (access(kPgCtlCluster, X_OK) != 0) {
      return Error(ErrorCode::kPrecondition,
                   fmt::format("the cluster is Debian's {}/{}, but pg_ctlcluster is not here",
                               cluster.major(), cluster.debian()->name),
                   "Install the package postgresql-common.");
    }
    control.manager_ = Manager::kPgCtlCluster;
  } else if (cluster.data_directory().find_first_of(kShellCharacters) != std::string::npos) {
    return Error(
        ErrorCode::kPrecondition,
        fmt::format("pg_ctl cannot take the data directory's name: \"{}\"", cluster.data_directory()),
        "Rename it so that it has no quotes, backslashes, dollar signs or line ends.");
  }
  return control;
}

std::string ServerControl::describe(ControlAction action) const {
  if (manager_ == Manager::kSystemd) return fmt::format("systemctl {} {}", word_of(action), unit_);
  if (manager_ == Manager::kPgCtlCluster) {
    return fmt::format("pg_ctlcluster {} {} {}", cluster_.major(), cluster_.debian()->name, word_of(action));
  }
  const std::string log =
      action == ControlAction::kStop
          ? ""
          : " -l " + shell_quoted(cluster_.data_directory() + "/" + std::string(kStartLogName));
  return fmt::format("{} -D {}{} {}", shell_quoted(installation_.program("pg_ctl")),
                     shell_quoted(cluster_.data_directory()), log, word_of(action));
}

/// A server that its owner started by hand is not stopped by stopping a unit that does not run.
Manager ServerControl::manager_for(ControlAction action) const {
  if (manager_ != Manager::kSystemd || action != ControlAction::kStop) return manager_;
  if (unit_is_in_charge(unit_, env::Wait::for_at_most(kSystemctlQuestionTimeout))) return manager_;
  return cluster_.debian() ? Manager::kPgCtlCluster : Manager::kPgCtl;
}

std::vector<std::string> ServerControl::argv_of(Manager manager, ControlAction action, StopMode mode,
                                                const std::string& log_file, const env::Wait& wait) const {
  const std::string word(word_of(action));
  std::vector<std::string> argv;
  if (manager == Manager::kPgCtlCluster) {
    argv = {kPgCtlCluster};
    if (action != ControlAction::kStart) argv.insert(argv.end(), {"-m", std::string(word_of(mode))});
    argv.insert(argv.end(), {std::to_string(cluster_.major()), cluster_.debian()->name, word});
    return argv;
  }
  argv = {installation_.program("pg_ctl"), "-D", cluster_.data_directory(), "-w", "-t", pg_ctl_timeout(wait)};
  if (action != ControlAction::kStart) argv.insert(argv.end(), {"-m", std::string(word_of(mode))});
  if (action != ControlAction::kStop) argv.insert(argv.end(), {"-l", log_file});
  argv.push_back(word);
  return argv;
}

/// What the program complained of; "" when it was content. Whether the server is up is looked at afterwards:
/// these programs have time limits of their own.
Result<std::string> ServerControl::run(ControlAction action, StopMode mode, const std::string& log_file,
                                       const env::Wait& wait) {
  Result<std::string> complaint = std::string();
  const Manager manager = manager_for(action);
  if (manager == Manager::kSystemd) {
    const auto done = root_->control_unit(unit_action_of(action), unit_, wait);
    if (!done) complaint = done.error();
  } else {
    const auto result = env::run_command({.argv = argv_of(manager, action, mode, log_file, wait),
                                          .set_env = {{"LC_MESSAGES", "C"}},
                                          .environment = env::ChildEnvironment::kWithoutPostgres},
                                         wait);
    if (!result) {
      complaint = result.error();
    } else if (result->exit_code != 0) {
      complaint = result->errors.empty() ? result->output : result->errors;
    }
  }
  if (!complaint && (complaint.error().code == ErrorCode::kTimeout ||
                     complaint.error().code == ErrorCode::kServerControl)) {
    return complaint.error().message;
  }
  return complaint;
}

/// Stopping a service behind systemd's back would mark it as failed, and what is started in its place would
/// not come back after a reboot.
Result<void> ServerControl::check_rights(ControlAction action) const {
  if (unit_.empty() || root_ != nullptr) return base::ok();
  if (!unit_is_in_charge(unit_, env::Wait::for_at_most(kSystemctlQuestionTimeout))) return base::ok();
  return Error(
      ErrorCode::kPermission, fmt::format("the server is run by {}, which only root controls", unit_),
      fmt::format("Run \"systemctl {} {}\" as root, or this command as root.", word_of(action), unit_));
}

std::optional<ServiceNote> ServerControl::note_on_reboot() const {
  const auto& debian = cluster_.debian();
  if (debian && start_of_debian_cluster(*files_, *debian) != DebianStart::kAuto) {
    return ServiceNote{
        fmt::format("start.conf of {} does not say auto: the server will not be back after a reboot",
                    debian->id().to_string()),
        fmt::format("Write auto into {}/start.conf.", debian->configuration_directory)};
  }
  if (unit_.empty()) {
    if (debian) return std::nullopt;
    return ServiceNote{"no service starts this server when the host starts", ""};
  }
  const auto wait = env::Wait::for_at_most(kSystemctlQuestionTimeout);
  const auto own = read_unit_state(unit_, wait);
  if (!own || own->comes_back_after_reboot()) return std::nullopt;
  // What start.conf calls auto is started together with Debian's umbrella.
  const std::string unit = debian ? "postgresql.service" : unit_;
  const auto state = debian ? read_unit_state(unit, wait) : own;
  if (!state || state->comes_back_after_reboot()) return std::nullopt;
  return ServiceNote{fmt::format("{} is not enabled: the server will not be back after a reboot", unit),
                     fmt::format("As root: systemctl enable {}", unit)};
}

std::vector<ServiceNote> ServerControl::service_notes() const {
  std::vector<ServiceNote> notes;
  if (auto note = note_on_reboot()) notes.push_back(*std::move(note));
  if (unit_.empty()) return notes;
  if (manager_ != Manager::kSystemd) {
    notes.push_back(
        {fmt::format("only root may start {}, so this time the server runs outside of it", unit_), ""});
    return notes;
  }
  const auto state = read_unit_state(unit_, env::Wait::for_at_most(kSystemctlQuestionTimeout));
  if (state && state->start_timeout) {
    notes.push_back(
        {fmt::format("{} gives a start {} (TimeoutStartSec): systemd stops a recovery that takes longer",
                     unit_, base::format_duration(*state->start_timeout)),
         fmt::format("As root run \"systemctl edit {}\" and write TimeoutStartSec=infinity below [Service].",
                     unit_)});
  }
  return notes;
}

Result<void> ServerControl::start_or_restart(ControlAction action, const env::Wait& wait) {
  const auto before = TRY(cluster_.running());
  if (before) TRY(check_rights(action));
  const Log log = TRY(prepare_log(before));
  const std::string complaint = TRY(run(action, StopMode::kFast, log.path, wait));
  const auto after = TRY(cluster_.running());
  // A restart that could not stop the old server has done nothing.
  if (action == ControlAction::kRestart && before && after && after->pid == before->pid &&
      after->start_unix_seconds == before->start_unix_seconds) {
    return Error(
        ErrorCode::kServerControl,
        fmt::format("the server on \"{}\" could not be stopped to restart it", cluster_.data_directory()),
        complaint.substr(0, complaint.find('\n')));
  }
  return wait_until_up(log, complaint, wait);
}

Result<void> ServerControl::start(const env::Wait& wait) {
  if (const auto postmaster = TRY(cluster_.running())) {
    if (postmaster->status != PostmasterStatus::kStopping) return wait_until_up(Log{}, "", wait);
    TRY(wait_until_gone(postmaster->pid, wait));
  }
  TRY(wait_until_reaped(wait));
  return start_or_restart(ControlAction::kStart, wait);
}

Result<void> ServerControl::restart(const env::Wait& wait) {
  if (manager_for(ControlAction::kStop) != manager_) {
    TRY(stop(StopMode::kFast, wait));
    return start(wait);
  }
  return start_or_restart(ControlAction::kRestart, wait);
}

Result<void> ServerControl::stop(StopMode mode, const env::Wait& wait) {
  const auto postmaster = TRY(cluster_.running());
  if (!postmaster) return base::ok();
  TRY(check_rights(ControlAction::kStop));
  const std::string complaint = TRY(run(ControlAction::kStop, mode, "", wait));
  const auto after = TRY(cluster_.running());
  if (!complaint.empty() && after && after->status != PostmasterStatus::kStopping) {
    return Error(ErrorCode::kServerControl,
                 fmt::format("the server on \"{}\" did not stop", cluster_.data_directory()),
                 complaint.substr(0, complaint.find('\n')));
  }
  return wait_until_gone(postmaster->pid, wait);
}

Result<void> ServerControl::promote(const env::Wait& wait) {
  if (!TRY(cluster_.running())) {
    return Error(ErrorCode::kPrecondition, fmt::format("no server runs on \"{}\"", cluster_.data_directory()),
                 "Start the standby first; a standby that is down cannot be promoted.");
  }
  const auto result =
      env::run_command({.argv = {installation_.program("pg_ctl"), "-D", cluster_.data_directory(), "-w", "-t",
                                 pg_ctl_timeout(wait), "promote"},
                        .set_env = {{"LC_MESSAGES", "C"}},
                        .environment = env::ChildEnvironment::kWithoutPostgres},
                       wait);
  if (!result && result.error().code != ErrorCode::kTimeout) return result.error();
  // pg_ctl says that it is done once the control file says so (xlog.c: DB_IN_PRODUCTION).
  if (TRY(cluster_.control_file()).state == pg::DbState::kInProduction) return base::ok();
  if (!result) {
    return Error(
        ErrorCode::kTimeout,
        fmt::format("the standby on \"{}\" was told to become a primary and is not one yet",
                    cluster_.data_directory()),
        "It goes on by itself once it has replayed what it had received; its log says how far it is.");
  }
  const std::string said = result->errors.empty() ? result->output : result->errors;
  return Error(ErrorCode::kServerControl,
               fmt::format("the standby on \"{}\" was not promoted", cluster_.data_directory()),
               said.substr(0, said.find('\n')));
}

}  // namespace standfast::server
