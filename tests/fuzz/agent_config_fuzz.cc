// Section [agent] of standfast.toml: whatever is read keeps within its bounds, and listens only where it
// says.
#include "agent/agent_config.h"
#include "fuzz_input.h"

namespace agent = standfast::agent;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto config = agent::parse_agent_config(standfast::fuzz::as_text(data, size), "fuzz");
  if (!config) return 0;
  CHECK(agent::merge(*config, {}) == *config && agent::merge({}, *config) == *config);
  const auto options = agent::options_of(*config, {});
  if (!options) return 0;
  CHECK(!config->listen.empty() && options->listen.size() == config->listen.size());
  CHECK(options->connections.max_logged_in <= agent::kMostAgentConnections);
  CHECK(options->connections.max_not_logged_in > 0 && options->max_backups <= agent::kMostAgentBackups);
  return 0;
}
