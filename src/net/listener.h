// Where a server listens, and the connections that come in (libpq/pqcomm.c ListenServerPort()).
//
// Threading: one thread. Ownership: a Listener owns its socket; an accepted one is the caller's. Invariant:
// an IPv6 socket takes IPv6 only, so that an address says what it is. Fails: kUsage for a text that is no
// address; kConnect for a name that does not resolve; kInUse, kPermission, kIo.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace standfast::net {

struct ListenAddress {
  std::string host;
  std::uint16_t port = 0;
  bool operator==(const ListenAddress&) const = default;
};
/// "HOST", "HOST:PORT", "[IPV6]:PORT"; an IPv6 address without brackets has no port.
base::Result<ListenAddress> parse_listen_address(std::string_view text, std::uint16_t default_port);
std::string to_string(const ListenAddress& address);

enum class Reach : std::uint8_t { kLoopback, kNetwork };
/// Who gets to an address of this host, which stands there as numbers.
Reach reach_of(const ListenAddress& address);

struct Accepted {
  int fd;            ///< does not block
  std::string peer;  ///< "10.20.20.2:41812"
  Reach reach;       ///< by the address that was called

  /// Without its port.
  std::string peer_address() const { return peer.substr(0, peer.rfind(':')); }
};

class Listener {
 public:
  /// On all addresses of a name. Port 0 is any that is free.
  static base::Result<std::vector<Listener>> open(const ListenAddress& address);
  ~Listener();
  Listener(Listener&& other) noexcept : fd_(std::exchange(other.fd_, -1)), bound_(std::move(other.bound_)) {}
  Listener& operator=(Listener&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(bound_, other.bound_);
    return *this;
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  int fd() const { return fd_; }
  const ListenAddress& bound() const { return bound_; }
  Reach reach() const { return reach_of(bound_); }
  /// No value: nobody is there, or gone again.
  base::Result<std::optional<Accepted>> accept() const;

 private:
  Listener(int fd, ListenAddress bound) : fd_(fd), bound_(std::move(bound)) {}
  int fd_;
  ListenAddress bound_;
};

}  // namespace standfast::net
