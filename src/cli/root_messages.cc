#include "cli/root_messages.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/number.h"
#include "pg/format/hba_file.h"
#include "pg/server/systemd.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using server::FirewallAction;
using server::FirewallAnswer;
using server::UnitAction;

constexpr std::string_view kDone = "done";
constexpr std::string_view kEnableAgent = "agent-enable";
constexpr std::array<std::pair<std::string_view, FirewallAction>, 3> kFirewallActions = {
    {{"firewall-ask", FirewallAction::kAsk},
     {"firewall-open", FirewallAction::kOpen},
     {"firewall-close", FirewallAction::kClose}}};
constexpr std::array<std::pair<std::string_view, FirewallAnswer>, 4> kFirewallAnswers = {
    {{"no firewall", FirewallAnswer::kNone},
     {"open", FirewallAnswer::kOpen},
     {"closed", FirewallAnswer::kClosed},
     {"partly", FirewallAnswer::kPartly}}};
constexpr std::array<std::pair<std::string_view, UnitAction>, 3> kActions = {
    {{"start", UnitAction::kStart}, {"stop", UnitAction::kStop}, {"restart", UnitAction::kRestart}}};

/// What stands before the separator, which is taken off with it.
std::string_view take_until(std::string_view& text, char separator) {
  const std::size_t end = std::min(text.find(separator), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

ErrorCode code_named(std::string_view name) {
#define STANDFAST_NAMED(code, exit_code, code_name, text) \
  if (name == code_name) return ErrorCode::code;
  STANDFAST_ERROR_TABLE(STANDFAST_NAMED)
#undef STANDFAST_NAMED
  return ErrorCode::kFailed;
}

}  // namespace

std::string_view word_of(UnitAction action) {
  for (const auto& [word, value] : kActions) {
    if (value == action) return word;
  }
  return "";
}

std::string encode_numbered(const Numbered& message) {
  return fmt::format("{} {}", message.number, message.text);
}

std::optional<Numbered> decode_numbered(std::string_view message) {
  const auto number = base::parse_number<std::uint64_t>(take_until(message, ' '));
  if (!number) return std::nullopt;
  return Numbered{*number, std::string(message)};
}

std::string encode_request(const UnitRequest& request) {
  return fmt::format("{} {} {}", word_of(request.action), request.timeout.count(), request.unit);
}

std::optional<UnitRequest> decode_request(std::string_view message) {
  const std::string_view word = take_until(message, ' ');
  const auto timeout_ms = base::parse_number<std::uint32_t>(take_until(message, ' '));
  if (!timeout_ms || !server::major_of_unit(message)) return std::nullopt;
  for (const auto& [name, action] : kActions) {
    if (name == word) return UnitRequest{action, base::Milliseconds(*timeout_ms), std::string(message)};
  }
  return std::nullopt;
}

std::string encode_answer(const Result<void>& result) {
  if (result) return std::string(kDone);
  const Error& error = result.error();
  return fmt::format("{}\n{}\n{}", base::name_of(error.code), error.message, error.hint);
}

Result<void> decode_answer(std::string_view message) {
  if (message == kDone) return base::ok();
  const ErrorCode code = code_named(take_until(message, '\n'));
  const std::string text(take_until(message, '\n'));
  return Error(code, text, std::string(message));
}

std::string encode_agent_request(base::Milliseconds timeout) {
  return fmt::format("{} {}", kEnableAgent, timeout.count());
}

std::optional<base::Milliseconds> decode_agent_request(std::string_view message) {
  if (take_until(message, ' ') != kEnableAgent) return std::nullopt;
  const auto timeout_ms = base::parse_number<std::uint32_t>(message);
  return timeout_ms ? std::optional(base::Milliseconds(*timeout_ms)) : std::nullopt;
}

std::string encode_firewall_request(const TimedFirewallRequest& timed) {
  std::string_view word;
  for (const auto& [name, action] : kFirewallActions) {
    if (action == timed.request.action) word = name;
  }
  return fmt::format("{} {} {} {}", word, timed.timeout.count(), timed.request.address_cidr,
                     timed.request.port);
}

std::optional<TimedFirewallRequest> decode_firewall_request(std::string_view message) {
  const std::string_view word = take_until(message, ' ');
  const auto timeout_ms = base::parse_number<std::uint32_t>(take_until(message, ' '));
  const std::string_view address = take_until(message, ' ');
  const auto port = base::parse_number<std::uint16_t>(message);
  const auto parsed = pg::parse_standby_address(address);
  if (!timeout_ms || !port || *port == 0 || !parsed || parsed->cidr != address) return std::nullopt;
  for (const auto& [name, action] : kFirewallActions) {
    if (name == word) {
      return TimedFirewallRequest{{action, std::string(address), *port}, base::Milliseconds(*timeout_ms)};
    }
  }
  return std::nullopt;
}

std::string encode_firewall_answer(const Result<FirewallAnswer>& result) {
  if (!result) return encode_answer(result.error());
  for (const auto& [word, answer] : kFirewallAnswers) {
    if (answer == *result) return std::string(word);
  }
  return "";
}

Result<FirewallAnswer> decode_firewall_answer(std::string_view message) {
  for (const auto& [word, answer] : kFirewallAnswers) {
    if (word == message) return answer;
  }
  const auto failed = decode_answer(message);
  return failed ? Error(ErrorCode::kProtocol, "root's answer is not one") : failed.error();
}

}  // namespace standfast::cli
