// How the outcome of primary setup looks to programs.
//
// Threading: pure functions. Of a token only the file is told.
#pragma once

#include <nlohmann/json.hpp>

#include "setup/primary_setup.h"

namespace standfast::cli {

nlohmann::ordered_json as_json(const setup::PrimarySetupOutcome& outcome);

}  // namespace standfast::cli
