#include "net/listener.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace standfast::net {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr int kBacklog = 128;
constexpr int kKeepaliveAfterSeconds = 60;

ListenAddress address_of(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& inet = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &inet.sin_addr, text, sizeof text);
    return {text, ntohs(inet.sin_port)};
  }
  const auto& inet6 = reinterpret_cast<const sockaddr_in6&>(address);
  inet_ntop(AF_INET6, &inet6.sin6_addr, text, sizeof text);
  return {text, ntohs(inet6.sin6_port)};
}

Error not_an_address(std::string_view text) {
  return {ErrorCode::kUsage, fmt::format("\"{}\" is not an address to listen on", text),
          "Write HOST, HOST:PORT or [IPV6]:PORT."};
}

void set_option(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof value);
}

Result<int> open_socket(const addrinfo& info) {
  const int fd = socket(info.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return base::error_from_errno(errno, "could not make a socket");
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (info.ai_family == AF_INET6) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (bind(fd, info.ai_addr, info.ai_addrlen) == 0 && listen(fd, kBacklog) == 0) return fd;
  const int error_number = errno;
  close(fd);
  sockaddr_storage address{};
  std::copy_n(reinterpret_cast<const char*>(info.ai_addr),
              std::min<std::size_t>(info.ai_addrlen, sizeof address), reinterpret_cast<char*>(&address));
  const std::string action = "could not listen on " + to_string(address_of(address));
  if (error_number == EADDRINUSE) {
    return Error(ErrorCode::kInUse, action + ": the port is in use", "Take another one with --listen.");
  }
  return base::error_from_errno(error_number, action);
}

}  // namespace

Result<ListenAddress> parse_listen_address(std::string_view text, std::uint16_t default_port) {
  ListenAddress address{std::string(text), default_port};
  std::optional<std::string_view> port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return not_an_address(text);
    address.host = text.substr(1, end - 1);
    const std::string_view rest = text.substr(end + 1);
    if (rest.starts_with(':')) port = rest.substr(1);
    if (!rest.empty() && !port) return not_an_address(text);
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    address.host = text.substr(0, text.find(':'));
    port = text.substr(text.find(':') + 1);
  }
  if (port) {
    const auto parsed = std::from_chars(port->data(), port->data() + port->size(), address.port);
    if (parsed.ec != std::errc() || parsed.ptr != port->data() + port->size()) return not_an_address(text);
  }
  if (address.host.empty() || address.host.find_first_of("[]") != std::string::npos)
    return not_an_address(text);
  return address;
}

std::string to_string(const ListenAddress& address) {
  const bool is_ipv6 = address.host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", is_ipv6 ? "[" : "", address.host, is_ipv6 ? "]" : "", address.port);
}

Reach reach_of(const ListenAddress& address) {
  const std::string& host = address.host;
  return host == "::1" || host.starts_with("127.") ? Reach::kLoopback : Reach::kNetwork;
}

Result<std::vector<Listener>> Listener::open(const ListenAddress& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int status = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (status != 0) {
    return Error(ErrorCode::kConnect,
                 fmt::format("could not resolve \"{}\": {}", address.host, gai_strerror(status)),
                 "Give an address of this host.");
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, freeaddrinfo);
  std::vector<Listener> listeners;
  for (const addrinfo* entry = list.get(); entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6) continue;
    const int fd = TRY(open_socket(*entry));
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length);
    listeners.push_back(Listener(fd, address_of(bound)));
  }
  return listeners;
}

Listener::~Listener() {
  if (fd_ >= 0) close(fd_);
}

Result<std::optional<Accepted>> Listener::accept() const {
  sockaddr_storage peer{};
  socklen_t length = sizeof peer;
  const int fd = accept4(fd_, reinterpret_cast<sockaddr*>(&peer), &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) {
    // What happened to a connection before it was taken is its own affair (accept(2)).
    const bool is_of_ours = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
    if (!is_of_ours) return std::optional<Accepted>();
    return base::error_from_errno(errno, "could not accept a connection");
  }
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveAfterSeconds);
  sockaddr_storage own{};
  length = sizeof own;
  getsockname(fd, reinterpret_cast<sockaddr*>(&own), &length);
  return std::optional(
      Accepted{.fd = fd, .peer = to_string(address_of(peer)), .reach = reach_of(address_of(own))});
}

}  // namespace standfast::net
