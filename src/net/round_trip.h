// How long a way there and back takes on a TCP connection: the shortest that the kernel has seen, which
// neither a busy peer nor a late acknowledgement makes longer (tcp(7), TCP_INFO).
//
// Threading: any thread. Ownership: the caller's descriptor. Fails: no value where the kernel does not say.
#pragma once

#include <chrono>
#include <optional>

namespace standfast::net {

std::optional<std::chrono::microseconds> shortest_round_trip(int fd);

}  // namespace standfast::net
