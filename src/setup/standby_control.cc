#include "setup/standby_control.h"

#include <fmt/format.h>

#include "setup/server_facts.h"
#include "setup/witness_stream.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using server::ControlAction;

constexpr auto kPollInterval = base::Milliseconds(200);
/// A standby that has come up connects to its primary at once, or tries again each 5 s
/// (wal_retrieve_retry_interval).
constexpr auto kPatienceWithReceiver = base::Seconds(8);
constexpr auto kLookForProgramsTimeout = base::Seconds(20);

/// The last line of the log in which the receiver says why it got no further, without what stands before it.
std::string reason_in(const std::string& log_tail) {
  for (const std::string_view word : {"FATAL:  ", "ERROR:  "}) {
    const std::size_t at = log_tail.rfind(word);
    if (at != std::string::npos) return log_tail.substr(at + 8, log_tail.find('\n', at) - at - 8);
  }
  return "";
}

std::string sender_of(const WalReceiver& receiver) {
  if (receiver.sender_host.empty()) return "the primary";
  return fmt::format("{} port {}", receiver.sender_host, receiver.sender_port);
}

std::string replay_text(const ServerFacts& facts) {
  if (facts.is_replay_paused) return ", but its replay is paused";
  if (facts.apply_delay.count() > 0)
    return fmt::format(", and replays {} late", base::format_duration(facts.apply_delay));
  return "";
}

std::string waiting_text(const ServerFacts& facts, const server::ServerControl& control) {
  if (facts.receiver && !facts.sees_everything) {
    return fmt::format("runs; role \"{}\" may not see whether it streams", facts.role);
  }
  if (facts.receiver)
    return fmt::format("does not stream yet: its receiver is \"{}\"", facts.receiver->status);
  if (facts.primary_conninfo.empty() && facts.sees_everything) {
    return "does not stream: primary_conninfo is not set, so it replays only what restore_command brings";
  }
  const std::string reason = reason_in(control.log_tail());
  if (!reason.empty()) return "does not stream yet; its log says: " + reason;
  return "does not stream yet: it cannot reach its primary, or still replays what it has";
}

/// Fills in what is known of the stream, as soon as it streams or patience is over.
Result<void> watch_stream(const Standby& standby, const StandbyOptions& options,
                          const SetupEnvironment& environment, StandbyStartOutcome& outcome) {
  const env::Wait wait = environment.wait_at_most(kPatienceWithReceiver);
  auto connection = TRY(connect_to(standby.cluster, options, wait));
  while (true) {
    const ServerFacts facts =
        TRY(read_server_facts(connection, environment.wait_at_most(kPatienceWithReceiver)));
    outcome.is_streaming = facts.receiver && facts.receiver->status == "streaming";
    if (outcome.is_streaming) {
      outcome.state = fmt::format("streams from {}{}", sender_of(*facts.receiver), replay_text(facts));
      return base::ok();
    }
    outcome.state = waiting_text(facts, standby.control);
    const bool can_change = facts.sees_everything && !facts.primary_conninfo.empty();
    if (!can_change || wait.deadline.passed()) return base::ok();
    const env::Wait pause{wait.deadline.earlier(base::Deadline::after(kPollInterval)), wait.stop};
    if (env::wait_for(-1, 0, pause) == env::Ready::kStopped) return env::cancelled_error();
  }
}

void note_leftover(const server::Cluster& cluster, const SetupEnvironment& environment) {
  const auto control = cluster.control_file();
  const auto running = cluster.running();
  if (!control || !running || !*running) return;
  const auto path =
      leftover_of_promotion(control->system_id, std::to_string((*running)->port), environment.files);
  if (path)
    environment.reporter.warn(
        describe_leftover(*path),
        "Where its primary lives and it is to follow it again, the settings come first.");
}

}  // namespace

Result<Standby> open_standby(const StandbyOptions& options, const SetupEnvironment& environment) {
  auto cluster = TRY(server::Cluster::open(environment.files, options.data_directory));
  if (!TRY(cluster.is_standby())) {
    return Error(
        ErrorCode::kPrecondition,
        fmt::format("\"{}\" is not a standby: it has no standby.signal", cluster.data_directory()),
        "It is a primary, or was promoted to one. A standby is made with \"standfast join\"; a primary is "
        "started and stopped with pg_ctl, pg_ctlcluster or systemctl.");
  }
  const auto installation = TRY(server::find_installation(
      environment.files, {.bin_directory = options.bin_directory, .major = cluster.major()},
      environment.wait_at_most(kLookForProgramsTimeout)));
  auto control =
      TRY(server::ServerControl::choose(environment.files, cluster, installation, environment.root));
  return Standby{std::move(cluster), std::move(control)};
}

Result<client::Connection> connect_to(const server::Cluster& cluster, const StandbyOptions& options,
                                      const env::Wait& wait) {
  return cluster.connect("postgres", wait, options.user);
}

void say_service_notes(const server::ServerControl& control, base::Reporter& reporter) {
  for (const server::ServiceNote& note : control.service_notes()) {
    note.hint.empty() ? reporter.info(note.line) : reporter.warn(note.line, note.hint);
  }
}

Result<StandbyStartOutcome> run_standby_start(const StandbyOptions& options,
                                              const SetupEnvironment& environment) {
  Standby standby = TRY(open_standby(options, environment));
  StandbyStartOutcome outcome;
  outcome.command = standby.control.describe(ControlAction::kStart);
  outcome.was_running = TRY(standby.cluster.running()).has_value();
  base::Reporter& reporter = environment.reporter;
  reporter.step("2.3", "start the standby");
  if (options.mode == RunMode::kDryRun) {
    outcome.planned_only = true;
    reporter.info(outcome.was_running ? "it runs already: nothing to do" : "would run: " + outcome.command);
    return outcome;
  }
  say_service_notes(standby.control, reporter);
  TRY(standby.control.start(environment.wait_at_most(options.timeout)));
  reporter.info(outcome.was_running ? "it runs already" : "started with: " + outcome.command);
  if (auto watched = watch_stream(standby, options, environment, outcome); !watched) {
    if (watched.error().code == ErrorCode::kCancelled) return watched.error();
    outcome.state = "runs, but could not be asked whether it streams: " + watched.error().message;
  }
  note_leftover(standby.cluster, environment);
  if (outcome.is_streaming) {
    reporter.info("it " + outcome.state);
  } else {
    reporter.warn("the standby " + outcome.state, fmt::format("\"standfast status -D {}\" shows both sides.",
                                                              standby.cluster.data_directory()));
  }
  return outcome;
}

Result<StandbyStopOutcome> run_standby_stop(const StandbyOptions& options, server::StopMode mode,
                                            const SetupEnvironment& environment) {
  Standby standby = TRY(open_standby(options, environment));
  StandbyStopOutcome outcome;
  outcome.command = standby.control.describe(ControlAction::kStop);
  outcome.was_running = TRY(standby.cluster.running()).has_value();
  base::Reporter& reporter = environment.reporter;
  reporter.step("", "stop the standby");
  if (options.mode == RunMode::kDryRun) outcome.planned_only = true;
  if (!outcome.was_running) {
    reporter.info("it is not running: nothing to do");
  } else if (outcome.planned_only) {
    reporter.info("would run: " + outcome.command);
  } else {
    TRY(standby.control.stop(mode, environment.wait_at_most(options.timeout)));
    reporter.info("stopped with: " + outcome.command);
  }
  return outcome;
}

}  // namespace standfast::setup
