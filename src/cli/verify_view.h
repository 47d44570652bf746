// The outcome of a verification in words and as json. The checks themselves were said as they were made.
//
// Threading: pure functions.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "setup/verify.h"

namespace standfast::cli {

/// "the standby replicates", or what is wrong and a hint.
std::string render_verdict(const setup::VerifyOutcome& outcome);
nlohmann::ordered_json verify_as_json(const setup::VerifyOutcome& outcome);

}  // namespace standfast::cli
