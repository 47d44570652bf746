// `standfast status`: asks the servers and makes the report (members.h judges it).
//
// From a standby alone what it follows is asked too, through its own primary_conninfo as the monitor role,
// and so on up to the primary; where that fails a note says so and what the standby knows is shown. A server
// that was named and does not answer is always a finding, whatever the others say. A copy that did not end is
// a finding, too, with the WAL that its slot holds back (unfinished_slot.h).
//
// Threading: one thread. Changes nothing anywhere. Fails: as connections do, when no server at all answers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "pg/client/connection.h"
#include "setup/environment.h"
#include "setup/members.h"

namespace standfast::setup {

enum class Detail : std::uint8_t { kNo, kViews };

struct StatusOptions {
  std::vector<client::ConnectOptions> servers;  ///< either side, any order; none only with what is unfinished
  /// What lies on this host, and a server of it that does not run.
  std::vector<clone::Unfinished> unfinished = {};
  std::optional<Unreachable> not_running = {};
  MaxLag max_lag = {};
  Detail detail = Detail::kNo;
  base::Clock::duration timeout = std::chrono::seconds(10);  ///< of each server
};

/// The copy and the rejoin that did not end, with that directory; what cannot be read is warned of.
std::vector<clone::Unfinished> look_for_unfinished(const std::string& data_directory,
                                                   const SetupEnvironment& environment);
base::Result<StatusReport> collect_status(const StatusOptions& options, const SetupEnvironment& environment);

}  // namespace standfast::setup
