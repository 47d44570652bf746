#include "cli/root_channel.h"

#include <array>
#include <cerrno>
#include <charconv>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "env/stop_event.h"
#include "pg/server/systemd.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using server::UnitAction;

constexpr std::string_view kDone = "done";
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
    if (wait.stopped()) return env::cancelled_error();
    // An answer that came too late for the request before is not this one's.
    while (has_message()) static_cast<void>(channel_.receive());
    TRY(channel_.send(encode_request({action, wait.deadline.remaining(), unit})));
    switch (env::wait_for(channel_.fd(), POLLIN, wait)) {
      case env::Ready::kStopped:
        return env::cancelled_error();
      case env::Ready::kTimeout:
        return Error(ErrorCode::kTimeout,
                     fmt::format("systemctl {} {} did not end in time", word_of(action), unit),
                     fmt::format("See systemctl status {}.", unit));
      case env::Ready::kYes:
        break;
    }
    const auto message = channel_.receive();
    return message ? decode_answer(*message) : Result<void>(root_is_gone());
  }

 private:
  bool has_message() const {
    pollfd ready{channel_.fd(), POLLIN, 0};
    return channel_.fd() >= 0 && poll(&ready, 1, 0) == 1;
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

}  // namespace standfast::cli
