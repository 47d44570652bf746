#include "agent/agent_config.h"

#include <fmt/format.h>

#include "env/settings_file.h"

namespace standfast::agent {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::string_view kSection = "agent";

env::SettingsFile::Form form() {
  return {.command = "agent",
          .sections = {{kSection,
                        {"data_directory", "listen", "superuser", "database", "max_connections",
                         "max_strangers", "max_backups"}}}};
}

}  // namespace

Result<AgentConfig> parse_agent_config(std::string_view text, std::string_view file) {
  const auto settings = TRY(env::SettingsFile::parse(text, file, form()));
  AgentConfig config;
  config.data_directory = TRY(settings.text(kSection, "data_directory"));
  config.listen = TRY(settings.texts(kSection, "listen"));
  config.superuser = TRY(settings.text(kSection, "superuser"));
  config.database = TRY(settings.text(kSection, "database"));
  config.max_connections = TRY(settings.count(kSection, "max_connections", kMostAgentConnections));
  config.max_strangers = TRY(settings.count(kSection, "max_strangers", kMostAgentConnections));
  config.max_backups = TRY(settings.count(kSection, "max_backups", kMostAgentBackups));
  return config;
}

AgentConfig merge(const AgentConfig& file, const AgentConfig& flags) {
  AgentConfig config = file;
  env::take_if_set(config.data_directory, flags.data_directory);
  if (!flags.listen.empty()) config.listen = flags.listen;
  env::take_if_set(config.superuser, flags.superuser);
  env::take_if_set(config.database, flags.database);
  env::take_if_set(config.max_connections, flags.max_connections);
  env::take_if_set(config.max_strangers, flags.max_strangers);
  env::take_if_set(config.max_backups, flags.max_backups);
  return config;
}

Result<AgentOptions> options_of(const AgentConfig& config, const AgentPlaces& places) {
  AgentOptions options;
  for (const std::string& text : config.listen) {
    options.listen.push_back(TRY(net::parse_listen_address(text, kDefaultAgentPort)));
  }
  if (config.listen.empty()) {
    for (const net::HostPort& place : places.listen) options.listen.push_back({place.host, place.port});
  }
  if (options.listen.empty()) {
    return Error(ErrorCode::kUsage, "it is not said where the agent listens",
                 fmt::format("Name an address of this host with --listen, or listen in [agent] of the "
                             "configuration; the port is {} unless it is given too.",
                             kDefaultAgentPort));
  }
  options.superuser = config.superuser;
  if (config.database) options.database = *config.database;
  if (config.max_connections) options.connections.max_logged_in = *config.max_connections;
  if (config.max_strangers) options.connections.max_not_logged_in = *config.max_strangers;
  if (config.max_backups) options.max_backups = *config.max_backups;
  return options;
}

}  // namespace standfast::agent
