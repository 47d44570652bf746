// After the copy: the standby started, seen to stream, and proved.
#include <fmt/format.h>

#include "pg/server/cluster.h"
#include "pg/server/control.h"
#include "setup/join_steps.h"
#include "setup/standby_control.h"

namespace standfast::setup {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {
constexpr base::Milliseconds kPollInterval{100};
}  // namespace

Result<std::string> start_copy(const JoinPlace& place, const server::Installation& installation,
                               const std::optional<clone::CloneFacts>& copy) {
  place.environment.reporter.step("2.3", "start the standby");
  const auto cluster = TRY(server::Cluster::open(place.environment.files, place.target));
  auto control = TRY(
      server::ServerControl::choose(place.environment.files, cluster, installation, place.environment.root));
  const std::string command = control.describe_start();
  if (TRY(cluster.running())) {
    place.environment.reporter.info("it runs already");
    return command;
  }
  say_service_notes(control, place.environment.reporter);
  auto started = control.start(place.environment.wait_at_most(place.options.start_timeout));
  if (!started) {
    Error error = std::move(started).error();
    if (copy && copy->moved_aside_to) {
      error.hint +=
          fmt::format(" The copy stays in place; the directory before is \"{}\".", *copy->moved_aside_to);
    }
    return error;
  }
  place.environment.reporter.info("started with: " + command);
  return command;
}

Result<void> wait_until_streaming(const JoinPlace& place, std::string_view source_word) {
  const env::Wait wait = place.environment.wait_at_most(place.options.stream_timeout);
  const auto cluster = TRY(server::Cluster::open(place.environment.files, place.target));
  auto standby = TRY(cluster.connect("postgres", wait));
  while (true) {
    const auto rows = TRY(standby.query("SELECT status FROM pg_stat_wal_receiver", wait));
    if (rows.count() > 0 && rows.text(0, 0) == "streaming") break;
    switch (env::wait_for(
        -1, 0, env::Wait{base::Deadline::after(kPollInterval).earlier(wait.deadline), wait.stop})) {
      case env::Ready::kStopped:
        return env::cancelled_error();
      case env::Ready::kYes:
      case env::Ready::kTimeout:
        break;
    }
    if (wait.deadline.passed()) {
      return Error(ErrorCode::kNotStreaming,
                   fmt::format("the standby runs but does not stream from the {}", source_word),
                   fmt::format("Its log in \"{}\" says why; \"standfast status -D {}\" shows both sides.",
                               place.target, place.target));
    }
  }
  place.environment.reporter.info(fmt::format("it streams from the {}", source_word));
  return base::ok();
}

Result<VerifyOutcome> prove_standby(const JoinPlace& place, const StandbyLogin& login) {
  place.environment.reporter.step("3", "verify: receiver, sender, and a row from the primary to the standby");
  const auto cluster = TRY(server::Cluster::open(place.environment.files, place.target));
  VerifyOptions verify;
  verify.servers = {login.monitor(place.options.token),
                    TRY(cluster.local_connection(place.options.token.monitor_database))};
  VerifyOutcome proof = TRY(run_verify(verify, place.environment));
  const auto& failure = proof.failure;
  if (!failure) return proof;
  // Late on purpose is how it was set up: what was written has arrived, and is replayed in its time.
  if (failure->code != ErrorCode::kReplayDelayed) return *failure;
  place.environment.reporter.warn(failure->message, failure->hint);
  return proof;
}

}  // namespace standfast::setup
