// How the outcome of --agent looks to programs.
//
// Threading: pure functions. Holds no secret.
#pragma once

#include <nlohmann/json.hpp>

#include "setup/primary_setup.h"

namespace standfast::cli {

nlohmann::ordered_json agent_as_json(const setup::AgentOutcome& agent);

}  // namespace standfast::cli
