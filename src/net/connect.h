// A TCP connection to a host by name or address, within a deadline: each address that the name has is tried
// in turn, with what time is left.
//
// Threading: any thread. Ownership: the caller's descriptor, which does not block. Looking a name up takes as
// long as the system's resolver does, like everywhere else (env/network.h). Fails: kConnect, retryable where
// somebody may listen later; kTimeout, kCancelled.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "env/stop_event.h"

namespace standfast::net {

struct HostPort {
  std::string host;
  std::uint16_t port = 0;
  bool operator==(const HostPort&) const = default;
};

base::Result<int> connect_to(const HostPort& address, const env::Wait& wait);

}  // namespace standfast::net
