#include "setup/agent_place.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <unistd.h>

#include "agent/membership_files.h"
#include "net/listener.h"
#include "pg/format/token.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::string_view kHostPrefix = "host-";
constexpr std::size_t kMaxMemberNameBytes = 63;

bool is_everywhere(const std::string& host) {
  return host == "0.0.0.0" || host == "::";
}

/// Whether who listens at `listen` is reached at `address`, on whatever port.
bool covers(const net::HostPort& listen, const std::string& address) {
  const bool is_ipv6 = address.find(':') != std::string::npos;
  return listen.host == address || listen.host == (is_ipv6 ? "::" : "0.0.0.0");
}

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

Result<AgentWish> parse_agent_wish(std::string_view text) {
  AgentWish wish;
  if (text.empty()) return wish;
  const auto address = net::parse_listen_address(text, agent::kDefaultAgentPort);
  if (!address || address->port == 0 || address->host.size() > pg::kMaxTokenHostBytes) {
    return Error(ErrorCode::kUsage,
                 fmt::format("--agent {}: that is no address to listen on", text.substr(0, 80)),
                 "Write ADDR, ADDR:PORT or [ADDR6]:PORT: --agent 10.20.20.1:7432.");
  }
  wish.listen = net::HostPort{address->host, address->port};
  return wish;
}

Result<AgentAddresses> addresses_to_listen_on(const AgentWish& wish, const AgentAddresses& before,
                                              const std::vector<std::string>& own_addresses) {
  if (wish.listen) return AgentAddresses{*wish.listen};
  AgentAddresses addresses = before;
  const std::uint16_t port = agent_port(wish, before);
  for (const std::string& own : own_addresses) {
    const bool is_covered = std::any_of(addresses.begin(), addresses.end(),
                                        [&](const net::HostPort& one) { return covers(one, own); });
    if (!is_covered) addresses.push_back({own, port});
  }
  if (addresses.empty()) {
    return Error(ErrorCode::kUsage,
                 "where the agent is to listen is not known: there is no route to any standby",
                 "Say it: --agent ADDR.");
  }
  if (addresses.size() > agent::kMaxAgentAddresses) {
    return Error(
        ErrorCode::kUsage,
        fmt::format("an agent listens on at most {} addresses, and these standbys reach this host by {}",
                    agent::kMaxAgentAddresses, addresses.size()),
        "Let it listen on all: --agent 0.0.0.0.");
  }
  return addresses;
}

std::uint16_t agent_port(const AgentWish& wish, const AgentAddresses& before) {
  if (wish.listen) return wish.listen->port;
  return before.empty() ? agent::kDefaultAgentPort : before.front().port;
}

net::HostPort place_to_call(const AgentAddresses& listen, const std::string& own_address,
                            const std::string& host) {
  const auto found = std::find_if(listen.begin(), listen.end(), [&](const net::HostPort& one) {
    return covers(one, own_address) || one.host == host;
  });
  if (found != listen.end()) return {host, found->port};
  return is_everywhere(listen.front().host) ? net::HostPort{host, listen.front().port} : listen.front();
}

net::HostPort as_called_here(const net::HostPort& listen) {
  if (!is_everywhere(listen.host)) return listen;
  return {listen.host == "::" ? "::1" : "127.0.0.1", listen.port};
}

std::string to_string(const AgentAddresses& addresses) {
  std::string text;
  for (const net::HostPort& one : addresses) {
    text += (text.empty() ? "" : ", ") + net::to_string({one.host, one.port});
  }
  return text;
}

std::string member_name_of_host(std::string_view host_name) {
  std::string name(kHostPrefix);
  for (const char c : host_name) name += is_letter_or_digit(c) || c == '.' || c == '_' ? c : '-';
  name.resize(std::min(name.size(), kMaxMemberNameBytes));
  return name;
}

std::string own_member_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return member_name_of_host("unknown");
  return member_name_of_host(name.data());
}

}  // namespace standfast::setup
