// `standfast status`: asks the servers and makes the report (members.h judges it).
//
// From a standby alone what it follows is asked too, through its own primary_conninfo as the monitor role,
// and so on up to the primary; where that fails a note says so and what the standby knows is shown. A server
// that was named and does not answer is always a finding, whatever the others say.
//
// Threading: one thread. Changes nothing anywhere. Fails: as connections do, when no server at all answers.
#pragma once

#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "pg/client/connection.h"
#include "setup/environment.h"
#include "setup/members.h"

namespace standfast::setup {

enum class Detail : std::uint8_t { kNo, kViews };

struct StatusOptions {
  std::vector<client::ConnectOptions> servers;  ///< one or more, either side, any order
  MaxLag max_lag = {};
  Detail detail = Detail::kNo;
  base::Clock::duration timeout = std::chrono::seconds(10);  ///< of each server
};

base::Result<StatusReport> collect_status(const StatusOptions& options, const SetupEnvironment& environment);

}  // namespace standfast::setup
