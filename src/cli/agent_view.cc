#include "cli/agent_view.h"

namespace standfast::cli {

nlohmann::ordered_json agent_as_json(const setup::AgentOutcome& agent) {
  nlohmann::ordered_json json = {{"listen", agent.listen},
                                 {"ca_fingerprint", agent.ca_sha256},
                                 {"runs", !agent.failure},
                                 {"started", agent.started.has_value()}};
  if (agent.failure) json["failure"] = agent.failure->message;
  return json;
}

}  // namespace standfast::cli
