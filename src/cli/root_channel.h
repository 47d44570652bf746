// The socket between the process that stays root and its child that has become someone else, and the child's
// end of it. root_service.h has root's.
//
// Threading: one thread at each end. Ownership: a Channel owns its end.
// Invariant: nothing is sent that would have to wait for the other end to read; an answer is taken only for
// the request whose number it has. Fails: kIo when the other end is gone or does not read.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "cli/root_messages.h"
#include "pg/server/root_helper.h"

namespace standfast::cli {

class Channel {
 public:
  explicit Channel(int fd) : fd_(fd) {}
  ~Channel() { close(); }
  Channel(Channel&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  Channel& operator=(Channel&&) = delete;

  int fd() const { return fd_; }
  void close();
  /// At most kMaxMessageBytes of it.
  base::Result<void> send(std::string_view message) const;
  /// One message; waits for it. Closes itself when the other end has gone and all it sent is read.
  std::optional<std::string> receive();

 private:
  int fd_;
};

base::Result<std::pair<Channel, Channel>> make_channel();

/// The child's end.
std::unique_ptr<server::RootHelper> make_channel_helper(Channel channel);

}  // namespace standfast::cli
