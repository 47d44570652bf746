// Where the agent of a host listens, and where a standby finds it: what was wished, what an earlier run
// chose, and this host's addresses, as values.
//
// Threading: pure functions, but own_member_name(), which asks for the host's name. Fails: kUsage.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/connect.h"

namespace standfast::setup {

using AgentAddresses = std::vector<net::HostPort>;

/// What --agent was given. Without a value: as before, and where this host is reached by who is named.
struct AgentWish {
  std::optional<net::HostPort> listen = {};
};
/// "", or ADDR[:PORT]. kUsage.
base::Result<AgentWish> parse_agent_wish(std::string_view text);

/// `before`: where it listened; `own_addresses`: those that somebody reaches this host by.
base::Result<AgentAddresses> addresses_to_listen_on(const AgentWish& wish, const AgentAddresses& before,
                                                    const std::vector<std::string>& own_addresses);
/// The port of an agent that listens there, or would by default.
std::uint16_t agent_port(const AgentWish& wish, const AgentAddresses& before);

/// By which host and port it is called: by `host` where it listens on `own_address`, which that leads to.
net::HostPort place_to_call(const AgentAddresses& listen, const std::string& own_address,
                            const std::string& host);
/// Where a program of this host reaches what listens there.
net::HostPort as_called_here(const net::HostPort& listen);

/// "10.20.20.1:7432, [fd00::1]:7432"
std::string to_string(const AgentAddresses& addresses);

/// A name of this host among the members (docs/formats/members.md). No standby has it, whose name is a
/// slot's.
std::string own_member_name();
std::string member_name_of_host(std::string_view host_name);

}  // namespace standfast::setup
