#include "witness/witness_options.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace standfast::witness {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::uint64_t kDefaultKeepBytes = std::uint64_t{1} << 30U;
/// A store is one folder with one slot behind it, and sockets are bound once.
constexpr std::array<std::string_view, 4> kFixed = {"primary.name", "primary.slot", "store.folder",
                                                    "serve.listen"};

Result<void> take_primary(const WitnessConfig& config, WitnessOptions& options) {
  if (!config.name) {
    return Error(ErrorCode::kUsage, "the witness has no name",
                 "Give it one with --name, or name in [primary] of the configuration: the primary lists it "
                 "by that. A token has it.");
  }
  if (!config.conninfo) {
    return Error(ErrorCode::kUsage, "it is not said where the primary is",
                 "Take the token of \"standfast primary setup --witness ADDR\" with --token-file; or give a "
                 "connection string with -d, or conninfo in [primary] of the configuration.");
  }
  TRY(client::parse_conninfo(*config.conninfo));
  client::ConnectOptions& connect = options.receiver.connect;
  connect.set("dbname", *config.conninfo);
  connect.expand_dbname = true;
  connect.set("application_name", *config.name);
  options.receiver.slot = config.slot.value_or(*config.name);
  options.receiver.flush_when = FlushWhen::kAtOnce;
  return base::ok();
}

Result<void> take_store(const WitnessConfig& config, WitnessOptions& options) {
  if (!config.folder) {
    return Error(ErrorCode::kUsage, "no folder for the WAL was given",
                 "Name it with -D, or folder in [store] of the configuration.");
  }
  options.receiver.folder = *config.folder;
  options.retention = {.keep_bytes = config.keep_bytes.value_or(kDefaultKeepBytes),
                       .keep_seconds = config.keep_seconds.value_or(0),
                       .slot_keep_bytes = config.slot_keep_bytes};
  return base::ok();
}

Result<void> take_serving(const WitnessConfig& config, ServerOptions& server) {
  if (config.listen.empty()) {
    return Error(ErrorCode::kUsage, "it is not said where the witness serves",
                 fmt::format("Name an address with --listen: 127.0.0.1, or this host's own; the port is {} "
                             "unless it is given too.",
                             kDefaultWitnessPort));
  }
  for (const std::string& text : config.listen) {
    server.listen.push_back(TRY(net::parse_listen_address(text, kDefaultWitnessPort)));
  }
  if (!config.users) {
    return Error(
        ErrorCode::kUsage, "nobody may log in to the witness",
        "Name a file with --users. A line of it on the primary: SELECT rolname || ':' || rolpassword "
        "FROM pg_authid WHERE rolname = 'NAME'.");
  }
  server.users_file = *config.users;
  if (config.tls_certificate.has_value() != config.tls_key.has_value()) {
    return Error(ErrorCode::kUsage, "the certificate and its key go together", "Give both, or neither.");
  }
  if (config.tls_certificate) server.tls = TlsContext::Files{*config.tls_certificate, *config.tls_key};
  if (config.allow_cleartext.value_or(false)) server.cleartext = Cleartext::kAllowed;
  return base::ok();
}

}  // namespace

Result<WitnessOptions> options_of(const WitnessConfig& config) {
  WitnessOptions options;
  TRY(take_primary(config, options));
  TRY(take_store(config, options));
  TRY(take_serving(config, options.server));
  return options;
}

ReloadPlan plan_reload(const WitnessConfig& running, const WitnessConfig& wanted) {
  ReloadPlan plan{.config = wanted};
  plan.config.name = running.name;
  plan.config.slot = running.slot;
  plan.config.folder = running.folder;
  plan.config.listen = running.listen;
  for (const std::string_view key : differing_keys(running, wanted)) {
    const bool is_fixed = std::find(kFixed.begin(), kFixed.end(), key) != kFixed.end();
    (is_fixed ? plan.needs_restart : plan.taken_up).push_back(key);
  }
  return plan;
}

}  // namespace standfast::witness
