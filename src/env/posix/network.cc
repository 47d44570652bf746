#include "env/network.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace standfast::env {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

class Socket {
 public:
  Socket(int family, int type) : fd_(socket(family, type | SOCK_CLOEXEC, 0)) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

struct AddressListDeleter {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using AddressList = std::unique_ptr<addrinfo, AddressListDeleter>;

Result<AddressList> resolve(const std::string& host, std::uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = flags;
  addrinfo* list = nullptr;
  const int status = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (status != 0) {
    return Error(ErrorCode::kConnect, "could not resolve \"" + host + "\": " + gai_strerror(status),
                 "Give an address, or check the name service.");
  }
  return AddressList(list);
}

std::string text_of(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text, sizeof text);
  } else if (address.ss_family == AF_INET6) {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, text, sizeof text);
  }
  return text;
}

/// Binds, and tells the port that was given; no value when the address is taken or the family is not there.
Result<std::uint16_t> bind_port(int family, const char* address, std::uint16_t port) {
  sockaddr_storage storage{};
  socklen_t length = 0;
  if (family == AF_INET) {
    auto& inet = reinterpret_cast<sockaddr_in&>(storage);
    inet.sin_family = AF_INET;
    inet.sin_port = htons(port);
    inet_pton(AF_INET, address, &inet.sin_addr);
    length = sizeof(sockaddr_in);
  } else {
    auto& inet6 = reinterpret_cast<sockaddr_in6&>(storage);
    inet6.sin6_family = AF_INET6;
    inet6.sin6_port = htons(port);
    inet_pton(AF_INET6, address, &inet6.sin6_addr);
    length = sizeof(sockaddr_in6);
  }
  const Socket socket(family, SOCK_STREAM);
  const int on = 1;
  // As PostgreSQL does (libpq/pqcomm.c): connections in TIME_WAIT do not hold a port.
  setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (family == AF_INET6) setsockopt(socket.fd(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (socket.fd() < 0 || bind(socket.fd(), reinterpret_cast<sockaddr*>(&storage), length) != 0 ||
      listen(socket.fd(), 1) != 0) {
    const int error_number = errno;
    return base::error_from_errno(error_number, "could not listen on port " + std::to_string(port));
  }
  getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&storage), &length);
  return ntohs(family == AF_INET ? reinterpret_cast<sockaddr_in&>(storage).sin_port
                                 : reinterpret_cast<sockaddr_in6&>(storage).sin6_port);
}

}  // namespace

Result<std::string> source_address_towards(const std::string& host, std::uint16_t port) {
  const AddressList list = TRY(resolve(host, port, 0));
  int last_errno = ENETUNREACH;
  for (const addrinfo* entry = list.get(); entry != nullptr; entry = entry->ai_next) {
    const Socket socket(entry->ai_family, SOCK_DGRAM);
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    if (socket.fd() >= 0 && connect(socket.fd(), entry->ai_addr, entry->ai_addrlen) == 0 &&
        getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&own), &length) == 0) {
      return text_of(own);
    }
    last_errno = errno;
  }
  return base::error_from_errno(last_errno, "no way to \"" + host + "\" from this host");
}

Result<std::vector<std::string>> resolve_addresses(const std::string& host) {
  const AddressList list = TRY(resolve(host, 0, 0));
  std::vector<std::string> addresses;
  for (const addrinfo* entry = list.get(); entry != nullptr; entry = entry->ai_next) {
    sockaddr_storage address{};
    if (entry->ai_addrlen > sizeof address) continue;
    std::memcpy(&address, entry->ai_addr, entry->ai_addrlen);
    std::string text = text_of(address);
    if (std::find(addresses.begin(), addresses.end(), text) == addresses.end()) {
      addresses.push_back(std::move(text));
    }
  }
  return addresses;
}

bool is_local_address(const std::string& address) {
  const auto list = resolve(address, 0, AI_NUMERICHOST);
  if (!list) return false;
  const addrinfo& entry = **list;
  const Socket socket(entry.ai_family, SOCK_DGRAM);
  return socket.fd() >= 0 && bind(socket.fd(), entry.ai_addr, entry.ai_addrlen) == 0;
}

bool is_port_free(std::uint16_t port) {
  const auto taken = [port](int family, const char* address) {
    const auto bound = bind_port(family, address, port);
    return !bound && bound.error().os_errno == EADDRINUSE;
  };
  return !taken(AF_INET, "0.0.0.0") && !taken(AF_INET6, "::");
}

Result<std::uint16_t> find_free_port() {
  return bind_port(AF_INET, "127.0.0.1", 0);
}

}  // namespace standfast::env
