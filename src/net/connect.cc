#include "net/connect.h"

#include <cerrno>
#include <memory>

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace standfast::net {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Error not_reached(const HostPort& address, std::string_view why) {
  Error error(ErrorCode::kConnect,
              fmt::format("could not connect to {} port {}: {}", address.host, address.port, why));
  error.retryable = true;
  return error;
}

Result<Addresses> look_up(const HostPort& address) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int code = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (code != 0) return not_reached(address, gai_strerror(code));
  return Addresses(found);
}

/// What became of a connect() that did not end at once: an errno.
Result<int> outcome_of(int fd, const env::Wait& wait) {
  switch (env::wait_for(fd, POLLOUT, wait)) {
    case env::Ready::kYes:
      break;
    case env::Ready::kTimeout:
      return ETIMEDOUT;
    case env::Ready::kStopped:
      return env::cancelled_error();
  }
  int number = 0;
  socklen_t length = sizeof number;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &length) == 0 ? number : errno;
}

/// The errno of the attempt; 0: connected.
Result<int> try_address(int fd, const addrinfo& address, const env::Wait& wait) {
  // Requests are small, and each is waited for.
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  if (connect(fd, address.ai_addr, address.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS && errno != EINTR) return errno;
  return outcome_of(fd, wait);
}

}  // namespace

Result<int> connect_to(const HostPort& address, const env::Wait& wait) {
  const Addresses addresses = TRY(look_up(address));
  int number = EADDRNOTAVAIL;
  for (const addrinfo* next = addresses.get(); next != nullptr; next = next->ai_next) {
    const int fd = socket(next->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
      number = errno;
      continue;
    }
    auto tried = try_address(fd, *next, wait);
    if (tried && *tried == 0) return fd;
    close(fd);
    if (!tried) return std::move(tried).error();
    number = *tried;
    if (wait.deadline.passed()) break;
  }
  if (number == ETIMEDOUT) {
    Error late(ErrorCode::kTimeout,
               fmt::format("no connection to {} port {} in time", address.host, address.port));
    late.retryable = true;
    return late;
  }
  return not_reached(address, base::error_from_errno(number, "connect").message);
}

}  // namespace standfast::net
