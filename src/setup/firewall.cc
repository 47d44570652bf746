#include "setup/firewall.h"

#include <utility>

#include <fmt/format.h>

namespace standfast::setup {

using base::Result;

Result<std::optional<Firewall>> find_firewall(env::FileSystem& files) {
  constexpr std::pair<std::string_view, Firewall> kPrograms[] = {{"firewall-cmd", Firewall::kFirewalld},
                                                                 {"ufw", Firewall::kUfw}};
  for (const auto& [program, firewall] : kPrograms) {
    for (const std::string_view folder : {"/usr/bin", "/usr/sbin", "/bin", "/sbin"}) {
      if (TRY(files.inspect_following(fmt::format("{}/{}", folder, program)))) return std::optional(firewall);
    }
  }
  return std::optional<Firewall>();
}

std::string firewall_command(Firewall firewall, const std::string& address_cidr, std::uint16_t port) {
  if (firewall == Firewall::kUfw) {
    return fmt::format("ufw allow proto tcp from {} to any port {}", address_cidr, port);
  }
  const bool is_ipv6 = address_cidr.find(':') != std::string::npos;
  return fmt::format(
      "firewall-cmd --permanent --add-rich-rule='rule family=\"{}\" source address=\"{}\" port port=\"{}\" "
      "protocol=\"tcp\" accept' && firewall-cmd --reload",
      is_ipv6 ? "ipv6" : "ipv4", address_cidr, port);
}

bool is_loopback(const std::string& address_cidr) {
  return address_cidr.starts_with("127.") || address_cidr == "::1/128";
}

}  // namespace standfast::setup
