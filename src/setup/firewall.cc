#include "setup/firewall.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "pg/format/hba_file.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using server::FirewallAction;
using server::FirewallAnswer;

/// firewalld's own name of a rule.
std::string rich_rule(const std::string& address_cidr, std::uint16_t port) {
  const bool is_ipv6 = address_cidr.find(':') != std::string::npos;
  return fmt::format("rule family=\"{}\" source address=\"{}\" port port=\"{}\" protocol=\"tcp\" accept",
                     is_ipv6 ? "ipv6" : "ipv4", address_cidr, port);
}

/// ufw writes a single address without its prefix.
std::string plain_address(const std::string& address_cidr) {
  const bool is_single = address_cidr.ends_with(address_cidr.find(':') == std::string::npos ? "/32" : "/128");
  return is_single ? address_cidr.substr(0, address_cidr.find('/')) : address_cidr;
}

class FirewallRun {
 public:
  FirewallRun(InstalledFirewall installed, const server::FirewallRequest& request, const env::Wait& wait)
      : installed_(std::move(installed)),
        request_(request),
        wait_(wait),
        calls_(calls_of(installed_.kind, request.address_cidr, request.port)) {}

  Result<FirewallAnswer> run() {
    if (!says_active(installed_.kind, TRY(call(calls_.is_active)))) return FirewallAnswer::kNone;
    switch (request_.action) {
      case FirewallAction::kAsk:
        return ask();
      case FirewallAction::kOpen:
        TRY(call_all(calls_.open));
        return FirewallAnswer::kOpen;
      case FirewallAction::kClose:
        TRY(call_all(calls_.close));
        return FirewallAnswer::kClosed;
    }
    return FirewallAnswer::kNone;
  }

 private:
  Result<FirewallAnswer> ask() const {
    std::size_t open_count = 0;
    for (const Argv& question : calls_.is_open) {
      const auto result = TRY(call(question));
      if (says_open(installed_.kind, result, request_.address_cidr, request_.port)) ++open_count;
    }
    if (open_count == 0) return FirewallAnswer::kClosed;
    return open_count == calls_.is_open.size() ? FirewallAnswer::kOpen : FirewallAnswer::kPartly;
  }

  Result<env::CommandResult> call(const Argv& arguments) const {
    env::Command command;
    command.argv = {installed_.program};
    command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
    command.set_env = {{"LC_ALL", "C"}};
    command.environment = env::ChildEnvironment::kWithoutPostgres;
    return env::run_command(command, wait_);
  }

  Result<void> call_all(const std::vector<Argv>& calls) const {
    for (const Argv& arguments : calls) {
      const auto result = TRY(call(arguments));
      if (result.exit_code == 0) continue;
      const std::string& said = result.errors.empty() ? result.output : result.errors;
      return Error(ErrorCode::kServerControl,
                   fmt::format("{} {} failed: {}", installed_.program, fmt::join(arguments, " "),
                               said.substr(0, std::min<std::size_t>(said.find('\n'), 300))),
                   "Open the firewall by hand, and run this again without --open-firewall.");
    }
    return base::ok();
  }

  InstalledFirewall installed_;
  const server::FirewallRequest& request_;
  const env::Wait& wait_;
  FirewallCalls calls_;
};

}  // namespace

Result<std::optional<InstalledFirewall>> find_firewall(env::FileSystem& files,
                                                       std::span<const std::string_view> folders) {
  constexpr std::pair<std::string_view, Firewall> kPrograms[] = {{"firewall-cmd", Firewall::kFirewalld},
                                                                 {"ufw", Firewall::kUfw}};
  for (const auto& [name, kind] : kPrograms) {
    for (const std::string_view folder : folders) {
      std::string program = fmt::format("{}/{}", folder, name);
      if (TRY(files.inspect_following(program)))
        return std::optional(InstalledFirewall{kind, std::move(program)});
    }
  }
  return std::optional<InstalledFirewall>();
}

std::string firewall_command(Firewall firewall, const std::string& address_cidr, std::uint16_t port) {
  if (firewall == Firewall::kUfw) {
    return fmt::format("ufw allow proto tcp from {} to any port {}", address_cidr, port);
  }
  return fmt::format("firewall-cmd --permanent --add-rich-rule='{}' && firewall-cmd --reload",
                     rich_rule(address_cidr, port));
}

std::string closing_command(Firewall firewall, const std::string& address_cidr, std::uint16_t port) {
  if (firewall == Firewall::kUfw) {
    return fmt::format("ufw delete allow proto tcp from {} to any port {}", address_cidr, port);
  }
  const std::string removal = fmt::format("--remove-rich-rule='{}'", rich_rule(address_cidr, port));
  return fmt::format("firewall-cmd --permanent {0}; firewall-cmd {0}", removal);
}

bool is_loopback(const std::string& address_cidr) {
  return address_cidr.starts_with("127.") || address_cidr == "::1/128";
}

FirewallCalls calls_of(Firewall firewall, const std::string& address_cidr, std::uint16_t port) {
  FirewallCalls calls;
  if (firewall == Firewall::kUfw) {
    const Argv rule = {"allow",
                       "proto",
                       "tcp",
                       "from",
                       plain_address(address_cidr),
                       "to",
                       "any",
                       "port",
                       std::to_string(port)};
    calls.is_active = {"status"};
    calls.is_open = {{"show", "added"}};
    calls.open = {rule};
    calls.close = {{"delete"}};
    calls.close.front().insert(calls.close.front().end(), rule.begin(), rule.end());
    return calls;
  }
  // No reload: it would take away what others have opened for the moment only.
  const std::string rule = rich_rule(address_cidr, port);
  calls.is_active = {"--state"};
  calls.is_open = {{"--permanent", "--query-rich-rule=" + rule}, {"--query-rich-rule=" + rule}};
  calls.open = {{"--permanent", "--add-rich-rule=" + rule}, {"--add-rich-rule=" + rule}};
  calls.close = {{"--permanent", "--remove-rich-rule=" + rule}, {"--remove-rich-rule=" + rule}};
  return calls;
}

bool says_active(Firewall firewall, const env::CommandResult& result) {
  if (result.exit_code != 0) return false;
  return firewall == Firewall::kFirewalld || result.output.starts_with("Status: active");
}

bool says_open(Firewall firewall, const env::CommandResult& result, const std::string& address_cidr,
               std::uint16_t port) {
  if (result.exit_code != 0) return false;
  if (firewall == Firewall::kFirewalld) return true;
  const std::string line =
      fmt::format("ufw allow from {} to any port {} proto tcp\n", plain_address(address_cidr), port);
  return ("\n" + result.output + "\n").find("\n" + line) != std::string::npos;
}

Result<FirewallAnswer> run_firewall(env::FileSystem& files, const server::FirewallRequest& request,
                                    const env::Wait& wait, std::span<const std::string_view> folders) {
  const auto address = pg::parse_standby_address(request.address_cidr);
  const bool is_everybody = request.address_cidr.ends_with("/0");
  if (!address || address->cidr != request.address_cidr || is_everybody || request.port == 0) {
    return Error(ErrorCode::kPermission, "root opens the firewall to the address of a standby only");
  }
  auto installed = TRY(find_firewall(files, folders));
  if (!installed) return FirewallAnswer::kNone;
  return FirewallRun(*std::move(installed), request, wait).run();
}

}  // namespace standfast::setup
