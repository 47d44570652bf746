// Questions about this host's addresses and ports, answered by the kernel without sending a packet.
//
// Threading: any thread. Fails with kIo; a host name that does not resolve is kConnect.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace standfast::env {

/// The address this host would use to speak to `host` (a UDP socket that is connected but never written to).
base::Result<std::string> source_address_towards(const std::string& host, std::uint16_t port);
/// The IPv4 and IPv6 addresses behind a host name, each once.
base::Result<std::vector<std::string>> resolve_addresses(const std::string& host);
/// Whether an IPv4 or IPv6 address in text form is one of this host's.
bool is_local_address(const std::string& address);
/// Whether a server could listen on that port of the loopback and of all addresses.
bool is_port_free(std::uint16_t port);
/// A port that was free a moment ago, for a server that is about to be made.
base::Result<std::uint16_t> find_free_port();

}  // namespace standfast::env
