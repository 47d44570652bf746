#include "net/round_trip.h"

#include <cstddef>

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace standfast::net {
namespace {

constexpr __u32 kNoneSeen = ~__u32{0};

}  // namespace

std::optional<std::chrono::microseconds> shortest_round_trip(int fd) {
  tcp_info info = {};
  socklen_t length = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return std::nullopt;
  const bool is_told = length >= offsetof(tcp_info, tcpi_min_rtt) + sizeof info.tcpi_min_rtt;
  if (!is_told || info.tcpi_min_rtt == kNoneSeen) return std::nullopt;
  return std::chrono::microseconds(info.tcpi_min_rtt);
}

}  // namespace standfast::net
