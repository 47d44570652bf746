// The command that lets a standby through this host's firewall: told, never run.
//
// Pure functions, but find_firewall(), which looks for the programs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "env/file_system.h"

namespace standfast::setup {

enum class Firewall : std::uint8_t { kFirewalld, kUfw };

/// What is installed; whether it is active only root may ask.
base::Result<std::optional<Firewall>> find_firewall(env::FileSystem& files);
/// Admits that address and no other to the port.
std::string firewall_command(Firewall firewall, const std::string& address_cidr, std::uint16_t port);
/// Loopback never passes a firewall's rules for other hosts.
bool is_loopback(const std::string& address_cidr);

}  // namespace standfast::setup
