// What the process that stays root and its child say to each other, as text: one request or one answer a
// message, each with the number of the request before it. An answer that comes late is known by its number.
//
// Threading: pure functions. Invariant: what is decoded is a word that is known, a number within its bounds,
// and the name of a PostgreSQL server's unit or an address as pg::parse_standby_address() gives it; nothing
// else is understood. Fails: no value for a request that is none; decode_*answer() with the error that root
// met.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "pg/server/root_helper.h"

namespace standfast::cli {

inline constexpr std::size_t kMaxMessageBytes = 4096;

struct Numbered {
  std::uint64_t number = 0;  ///< of the request, and of its answer
  std::string text;
};
/// "7 start 30000 postgresql@15-main.service"
std::string encode_numbered(const Numbered& message);
std::optional<Numbered> decode_numbered(std::string_view message);

struct UnitRequest {
  server::UnitAction action = server::UnitAction::kStart;
  base::Milliseconds timeout{};
  std::string unit;
};
/// "start 30000 postgresql@15-main.service"
std::string encode_request(const UnitRequest& request);
std::optional<UnitRequest> decode_request(std::string_view message);
std::string encode_answer(const base::Result<void>& result);
base::Result<void> decode_answer(std::string_view message);

/// "agent-enable 60000"
std::string encode_agent_request(base::Milliseconds timeout);
/// The timeout.
std::optional<base::Milliseconds> decode_agent_request(std::string_view message);

struct TimedFirewallRequest {
  server::FirewallRequest request;
  base::Milliseconds timeout{};
};
/// "firewall-open 30000 10.20.20.2/32 5432"
std::string encode_firewall_request(const TimedFirewallRequest& request);
std::optional<TimedFirewallRequest> decode_firewall_request(std::string_view message);
std::string encode_firewall_answer(const base::Result<server::FirewallAnswer>& result);
base::Result<server::FirewallAnswer> decode_firewall_answer(std::string_view message);

/// "start", as systemctl has it.
std::string_view word_of(server::UnitAction action);

}  // namespace standfast::cli
