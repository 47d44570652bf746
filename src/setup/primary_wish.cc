// The user's options, checked as far as they can be without a server.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "pg/format/sql_text.h"
#include "setup/names.h"
#include "setup/primary_plan.h"
#include "setup/scram.h"

namespace standfast::setup {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

Result<void> check_removals(const PrimarySetupOptions& options) {
  for (const std::string& name : options.remove_witnesses) TRY(pg::valid_slot_name(name));
  const bool is_alone = options.standbys.empty() && options.witnesses.empty() && !options.slot &&
                        !options.init && !options.replication_password && !options.advertised_host &&
                        options.rotation == PasswordRotation::kNo &&
                        options.on_standby == OnStandby::kRefuse && options.firewall == FirewallWish::kTell &&
                        !options.agent;
  if (options.remove_witnesses.empty() || is_alone) return base::ok();
  return Error(ErrorCode::kUsage, "--remove-witness does nothing else in the same run",
               "Give it alone, and what is to be set up in a run of its own.");
}

}  // namespace

Result<PrimaryWish> wish_of(const PrimarySetupOptions& options) {
  TRY(check_removals(options));
  PrimaryWish wish;
  for (const auto& text : options.standbys) {
    auto standby = TRY(pg::parse_standby_address(text));
    const bool is_repeated = std::any_of(wish.standbys.begin(), wish.standbys.end(),
                                         [&](const auto& one) { return one.cidr == standby.cidr; });
    if (!is_repeated) wish.standbys.push_back(std::move(standby));
  }
  for (const auto& text : options.witnesses) wish.witnesses.push_back(TRY(parse_witness(text)));
  if (options.slot) {
    if (wish.standbys.size() != 1) {
      return Error(ErrorCode::kUsage, "--slot names the slot of one standby",
                   "Give exactly one --standby with it; more standbys take a run each.");
    }
    wish.slot = TRY(pg::valid_slot_name(*options.slot));
  }
  if (options.replication_role &&
      (options.replication_role->empty() || options.replication_role->size() > 63 ||
       options.replication_role->starts_with("pg_"))) {
    return Error(
        ErrorCode::kUsage,
        fmt::format("the replication role cannot be called \"{}\"", options.replication_role->substr(0, 80)),
        "Choose one of at most 63 bytes that does not begin with \"pg_\".");
  }
  if (options.advertised_host) {
    const std::string& host = *options.advertised_host;
    const bool usable = !host.empty() && host.size() <= 255 && host.front() != '/' && host.front() != '@' &&
                        std::all_of(host.begin(), host.end(), [](char c) {
                          return c > ' ' && c <= '~' && c != ',' && c != '\'' && c != '\\';
                        });
    if (!usable) {
      return Error(ErrorCode::kUsage, "--advertise takes one host name or address",
                   "Give what the standby is to connect to, without a port.");
    }
  }
  if (options.firewall == FirewallWish::kOpen && wish.standbys.empty() && wish.witnesses.empty()) {
    return Error(ErrorCode::kUsage,
                 "--open-firewall opens it to what is named with --standby or --witness, and none is",
                 "Name it again: --standby ADDRESS.");
  }
  if (options.replication_password) TRY(check_password(*options.replication_password));
  wish.replication_role = options.replication_role;
  wish.advertised_host = options.advertised_host;
  wish.listen_addresses = options.listen_addresses;
  wish.password_given = options.replication_password.has_value();
  wish.rotation = options.rotation;
  wish.ca_pem = options.ca_pem.value_or("");
  wish.on_standby = options.on_standby;
  if (options.agent) wish.agent = TRY(parse_agent_wish(*options.agent));
  return wish;
}

std::string replication_role_name(const PrimaryWish& wish, const std::optional<pg::HbaBlock>& block) {
  if (wish.replication_role) return *wish.replication_role;
  if (block && !block->replication_role.empty()) return block->replication_role;
  return std::string(kDefaultReplicationRole);
}

}  // namespace standfast::setup
