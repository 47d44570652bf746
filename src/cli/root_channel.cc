#include "cli/root_channel.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "env/stop_event.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using server::FirewallAnswer;
using server::UnitAction;

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

  Result<void> enable_agent(const env::Wait& wait) override {
    return decode_answer(TRY(ask(encode_agent_request(wait.deadline.remaining()), wait,
                                 fmt::format("systemctl restart {}", server::kAgentUnit),
                                 fmt::format("See systemctl status {}.", server::kAgentUnit))));
  }

  Result<FirewallAnswer> change_firewall(const server::FirewallRequest& request,
                                         const env::Wait& wait) override {
    return decode_firewall_answer(TRY(ask(encode_firewall_request({request, wait.deadline.remaining()}), wait,
                                          "the firewall's program", "See whether it answers root.")));
  }

 private:
  /// The answer to this request; `what` did not end in time if there is none.
  Result<std::string> ask(const std::string& request, const env::Wait& wait, const std::string& what,
                          const std::string& hint) {
    if (wait.stopped()) return env::cancelled_error();
    const std::uint64_t number = ++last_number_;
    TRY(channel_.send(encode_numbered({number, request})));
    while (true) {
      switch (env::wait_for(channel_.fd(), POLLIN, wait)) {
        case env::Ready::kStopped:
          return env::cancelled_error();
        case env::Ready::kTimeout:
          return Error(ErrorCode::kTimeout, what + " did not end in time", hint);
        case env::Ready::kYes:
          break;
      }
      const auto message = channel_.receive();
      if (!message) return root_is_gone();
      // The answer to a request that was given up says nothing of this one.
      auto answer = decode_numbered(*message);
      if (answer && answer->number == number) return std::move(answer->text);
    }
  }

  Channel channel_;
  std::uint64_t last_number_ = 0;
};

}  // namespace

void Channel::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<void> Channel::send(std::string_view message) const {
  if (fd_ < 0) return root_is_gone();
  const ssize_t count =
      ::send(fd_, message.data(), std::min(message.size(), kMaxMessageBytes), MSG_NOSIGNAL | MSG_DONTWAIT);
  return count < 0 ? Result<void>(root_is_gone()) : base::ok();
}

std::optional<std::string> Channel::receive() {
  if (fd_ < 0) return std::nullopt;
  std::string message(kMaxMessageBytes, '\0');
  ssize_t count = 0;
  // ECONNRESET: the other end went without having read everything; what it sent is still here.
  do count = recv(fd_, message.data(), message.size(), 0);
  while (count < 0 && (errno == EINTR || errno == ECONNRESET));
  if (count <= 0) {
    close();
    return std::nullopt;
  }
  message.resize(static_cast<std::size_t>(count));
  return message;
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

}  // namespace standfast::cli
