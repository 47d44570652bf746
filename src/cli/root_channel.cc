#include "cli/root_channel.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "env/stop_event.h"
#include "pg/format/hba_file.h"
#include "pg/server/systemd.h"
#include "setup/firewall.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using server::UnitAction;

using server::FirewallAction;
using server::FirewallAnswer;

constexpr std::string_view kDone = "done";
constexpr std::array<std::pair<std::string_view, FirewallAction>, 3> kFirewallActions = {
    {{"firewall-ask", FirewallAction::kAsk},
     {"firewall-open", FirewallAction::kOpen},
     {"firewall-close", FirewallAction::kClose}}};
constexpr std::array<std::pair<std::string_view, FirewallAnswer>, 4> kFirewallAnswers = {
    {{"no firewall", FirewallAnswer::kNone},
     {"open", FirewallAnswer::kOpen},
     {"closed", FirewallAnswer::kClosed},
     {"partly", FirewallAnswer::kPartly}}};
constexpr base::Seconds kMaxFirewallTime(120);
constexpr std::array<std::pair<std::string_view, UnitAction>, 3> kActions = {
    {{"start", UnitAction::kStart}, {"stop", UnitAction::kStop}, {"restart", UnitAction::kRestart}}};

std::string_view word_of(UnitAction action) {
  for (const auto& [word, value] : kActions) {
    if (value == action) return word;
  }
  return "";
}

template <typename Number>
std::optional<Number> whole_number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

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

Error root_is_gone() {
  return {ErrorCode::kIo, "the process that has root's rights is gone", "Run the command again."};
}

class ChannelHelper final : public server::RootHelper {
 public:
  explicit ChannelHelper(Channel channel) : channel_(std::move(channel)) {}

  Result<void> control_unit(UnitAction action, const std::string& unit, const env::Wait& wait) override {
    return decode_answer(TRY(ask(encode_request({action, wait.deadline.remaining(), unit}), wait,
                                 fmt::format("systemctl {} {}", word_of(action), unit),
                                 fmt::format("See systemctl status {}.", unit))));
  }

  Result<FirewallAnswer> change_firewall(const server::FirewallRequest& request,
                                         const env::Wait& wait) override {
    return decode_firewall_answer(TRY(ask(encode_firewall_request({request, wait.deadline.remaining()}), wait,
                                          "the firewall's program", "See whether it answers root.")));
  }

 private:
  bool has_message() const {
    pollfd ready{channel_.fd(), POLLIN, 0};
    return channel_.fd() >= 0 && poll(&ready, 1, 0) == 1;
  }
  /// The answer to one request; `what` did not end in time if there is none.
  Result<std::string> ask(const std::string& request, const env::Wait& wait, const std::string& what,
                          const std::string& hint) {
    if (wait.stopped()) return env::cancelled_error();
    // An answer that came too late for the request before is not this one's.
    while (has_message()) static_cast<void>(channel_.receive());
    TRY(channel_.send(request));
    switch (env::wait_for(channel_.fd(), POLLIN, wait)) {
      case env::Ready::kStopped:
        return env::cancelled_error();
      case env::Ready::kTimeout:
        return Error(ErrorCode::kTimeout, what + " did not end in time", hint);
      case env::Ready::kYes:
        break;
    }
    auto message = channel_.receive();
    return message ? Result<std::string>(*std::move(message)) : Result<std::string>(root_is_gone());
  }

  Channel channel_;
};

}  // namespace

void Channel::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<void> Channel::send(std::string_view message) const {
  if (fd_ < 0) return root_is_gone();
  const ssize_t count = ::send(fd_, message.data(), std::min(message.size(), kMaxMessageBytes), MSG_NOSIGNAL);
  return count < 0 ? Result<void>(root_is_gone()) : base::ok();
}

std::optional<std::string> Channel::receive() {
  std::string message(kMaxMessageBytes, '\0');
  ssize_t count = 0;
  do count = recv(fd_, message.data(), message.size(), 0);
  while (count < 0 && errno == EINTR);
  if (count <= 0) {
    close();
    return std::nullopt;
  }
  message.resize(static_cast<std::size_t>(count));
  return message;
}

void Channel::answer(const Result<void>& result) const {
  // A child that is gone needs no answer.
  static_cast<void>(send(encode_answer(result)));
}

void Channel::answer(std::string_view message) const {
  static_cast<void>(send(message));
}

Result<std::pair<Channel, Channel>> make_channel() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return base::error_from_errno(errno, "could not make a socket pair");
  }
  return std::pair(Channel(ends[0]), Channel(ends[1]));
}

std::unique_ptr<server::RootHelper> make_channel_helper(Channel channel) {
  return std::make_unique<ChannelHelper>(std::move(channel));
}

std::string encode_request(const UnitRequest& request) {
  return fmt::format("{} {} {}", word_of(request.action), request.timeout.count(), request.unit);
}

std::optional<UnitRequest> decode_request(std::string_view message) {
  const std::string_view word = take_until(message, ' ');
  const auto timeout_ms = whole_number<std::uint32_t>(take_until(message, ' '));
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

Result<void> serve_unit_request(env::FileSystem& files, const std::string& data_directory,
                                std::string_view message) {
  const auto request = decode_request(message);
  if (!request) return Error(ErrorCode::kPermission, "root does not do what it was asked for");
  const auto wait =
      env::Wait::for_at_most(std::min<base::Milliseconds>(request->timeout, kMaxUnitActionTime));
  if (!TRY(server::unit_runs_data_directory(files, request->unit, data_directory, wait))) {
    return Error(ErrorCode::kPermission, fmt::format("{} does not run \"{}\", so root leaves it alone",
                                                     request->unit, data_directory));
  }
  return server::run_systemctl(request->action, request->unit, wait);
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
  const auto timeout_ms = whole_number<std::uint32_t>(take_until(message, ' '));
  const std::string_view address = take_until(message, ' ');
  const auto port = whole_number<std::uint16_t>(message);
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

Result<FirewallAnswer> serve_firewall_request(env::FileSystem& files, const RootLeave& leave,
                                              std::string_view message) {
  const auto timed = decode_firewall_request(message);
  const auto& allowed = leave.firewall_addresses;
  if (!timed || std::find(allowed.begin(), allowed.end(), timed->request.address_cidr) == allowed.end()) {
    return Error(ErrorCode::kPermission, "root opens the firewall only to what was named with --standby");
  }
  const auto wait = env::Wait::for_at_most(std::min<base::Milliseconds>(timed->timeout, kMaxFirewallTime));
  return setup::run_firewall(files, timed->request, wait);
}

std::string serve_request(env::FileSystem& files, const RootLeave& leave, std::string_view message) {
  if (message.starts_with("firewall-")) {
    return encode_firewall_answer(serve_firewall_request(files, leave, message));
  }
  return encode_answer(serve_unit_request(files, leave.data_directory, message));
}

}  // namespace standfast::cli
