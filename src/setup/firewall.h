// The firewall of this host: what lets a standby through it, as a command for a person and as the calls that
// root makes with --open-firewall.
//
// Threading: pure functions, but find_firewall(), which looks for the programs, and run_firewall(), which
// runs them and has to be root. Invariant: only the one address is let in, to the one port; what was open
// before is left open by kClose's caller, who asks first. Fails with kServerControl when a program fails,
// kPermission for an address or a port that is none, kTimeout.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "env/process.h"
#include "pg/server/root_helper.h"

namespace standfast::setup {

enum class Firewall : std::uint8_t { kFirewalld, kUfw };

struct InstalledFirewall {
  Firewall kind = Firewall::kFirewalld;
  std::string program;  ///< its path
};

/// Folders that only root writes to. PATH is not asked: root runs what is found.
inline constexpr std::string_view kSystemFolders[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/bin",
                                                      "/usr/sbin",       "/bin",           "/sbin"};

/// What is installed; whether it is active only root may ask.
base::Result<std::optional<InstalledFirewall>> find_firewall(
    env::FileSystem& files, std::span<const std::string_view> folders = kSystemFolders);
/// Admits that address and no other to the port.
std::string firewall_command(Firewall firewall, const std::string& address_cidr, std::uint16_t port);
/// Takes that back, for now and for later.
std::string closing_command(Firewall firewall, const std::string& address_cidr, std::uint16_t port);
/// Loopback never passes a firewall's rules for other hosts.
bool is_loopback(const std::string& address_cidr);

/// Root's part: does or asks one thing, of the firewall that is installed and active.
base::Result<server::FirewallAnswer> run_firewall(env::FileSystem& files,
                                                  const server::FirewallRequest& request,
                                                  const env::Wait& wait,
                                                  std::span<const std::string_view> folders = kSystemFolders);

// The parts, for tests.

using Argv = std::vector<std::string>;

/// Arguments of the firewall's program, without its path. It is open now and stays so: firewalld has a rule
/// of the moment and one that is kept.
struct FirewallCalls {
  Argv is_active;
  std::vector<Argv> is_open;  ///< as many as there are rules to make
  std::vector<Argv> open;
  std::vector<Argv> close;
};
FirewallCalls calls_of(Firewall firewall, const std::string& address_cidr, std::uint16_t port);
bool says_active(Firewall firewall, const env::CommandResult& result);
bool says_open(Firewall firewall, const env::CommandResult& result, const std::string& address_cidr,
               std::uint16_t port);

}  // namespace standfast::setup
