// `standfast standby start` and `standby stop`: the server of a standby's data directory, never a primary's.
//
// Both are idempotent. start waits until the standby accepts connections, then says whether it streams and,
// if not, what it waits for; a standby that runs and does not stream is no error of the start.
//
// Threading: one thread. Fails with kPrecondition when the directory is no standby's, and as
// server/control.h does.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "pg/server/control.h"
#include "setup/environment.h"
#include "setup/primary_setup.h"

namespace standfast::setup {

struct StandbyOptions {
  std::string data_directory;
  std::optional<std::string> bin_directory = {};
  std::optional<std::string> user = {};  ///< the role to log in as; else the operating system user's name
  base::Clock::duration timeout = std::chrono::minutes(1);
  RunMode mode = RunMode::kApply;
};

/// The standby and what starts and stops it.
struct Standby {
  server::Cluster cluster;
  server::ServerControl control;
};
/// kPrecondition, with the data directory in the message, when it is not a standby's.
base::Result<Standby> open_standby(const StandbyOptions& options, const SetupEnvironment& environment);
/// A connection to the running server of this directory, as the role of the options.
base::Result<client::Connection> connect_to(const server::Cluster& cluster, const StandbyOptions& options,
                                            const env::Wait& wait);

/// Says what is to be known of the service that runs it.
void say_service_notes(const server::ServerControl& control, base::Reporter& reporter);

struct StandbyStartOutcome {
  bool was_running = false;
  bool planned_only = false;
  std::string command;  ///< that starts it
  bool is_streaming = false;
  std::string state;  ///< in words: "streams from 10.20.20.1:5432", or what it waits for
};
base::Result<StandbyStartOutcome> run_standby_start(const StandbyOptions& options,
                                                    const SetupEnvironment& environment);

struct StandbyStopOutcome {
  bool was_running = false;
  bool planned_only = false;
  std::string command;
};
base::Result<StandbyStopOutcome> run_standby_stop(const StandbyOptions& options, server::StopMode mode,
                                                  const SetupEnvironment& environment);

}  // namespace standfast::setup
