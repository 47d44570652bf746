// What an agent is told: section [agent] of /etc/standfast/standfast.toml, or flags that win over it.
//
// clang-format off
//     [agent]
//     data_directory = "/var/lib/postgresql/15/main"
//     listen = ["10.20.20.1:7432"]       # left out: where `primary setup --agent` or `join --agent` said
//     superuser = "postgres"             # whom it logs in as at its own server; left out: its own user's name
//     database = "postgres"
//     max_connections = 64               # of members; each stream of a copy is one
//     max_strangers = 64                 # connections that have not shown a certificate
//     max_backups = 8                    # copies at once
// clang-format on
//
// Pure. Fails with kUsage, which names the file, the line and the key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/membership_files.h"
#include "base/result.h"
#include "net/connections.h"
#include "net/listener.h"

namespace standfast::agent {

struct AgentConfig {
  std::optional<std::string> data_directory = {};
  std::vector<std::string> listen = {};
  std::optional<std::string> superuser = {}, database = {};
  std::optional<std::uint32_t> max_connections = {}, max_strangers = {}, max_backups = {};
  bool operator==(const AgentConfig&) const = default;
};

constexpr std::uint64_t kMaxAgentConfigBytes = std::uint64_t{1} << 20U;
constexpr std::uint32_t kMostAgentConnections = 1000;
constexpr std::uint32_t kMostAgentBackups = 64;
/// `file` is for messages.
base::Result<AgentConfig> parse_agent_config(std::string_view text, std::string_view file);
/// What `flags` says wins.
AgentConfig merge(const AgentConfig& file, const AgentConfig& flags);

/// What it means, with what is left out filled in.
struct AgentOptions {
  std::vector<net::ListenAddress> listen;
  std::optional<std::string> superuser = {};
  std::string database = "postgres";
  net::ConnectionBounds connections = {.max_logged_in = 64, .max_not_logged_in = 64};
  std::size_t max_backups = 8;
  bool operator==(const AgentOptions&) const = default;
};
/// Nowhere is listened unless somebody said where.
base::Result<AgentOptions> options_of(const AgentConfig& config, const AgentPlaces& places);

}  // namespace standfast::agent
