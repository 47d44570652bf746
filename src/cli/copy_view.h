// What is said of a copy that came through an agent.
//
// Pure. Threading: any.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "clone/clone.h"

namespace standfast::cli {

nlohmann::ordered_json agent_as_json(const clone::AgentFacts& facts);
/// Lines.
std::string text_of_agent(const clone::AgentFacts& facts);

}  // namespace standfast::cli
