// `standfast wal serve`: a folder of WAL as a server for standbys and pg_receivewal.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/hangup_fd.h"
#include "pg/format/wal_file.h"
#include "witness/served_folder.h"
#include "witness/server.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::uint16_t kDefaultPort = 5432;
constexpr std::int64_t kMaxTimeoutSeconds = 86400;
constexpr std::size_t kMostConnections = 1000;

class WalServeCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    const std::string group = "The WAL";
    app.add_option("-D,--directory", options_.folder, "folder with the WAL, as wal receive fills it")
        ->type_name("DIR")
        ->group(group);
    app.add_option("--max-slots", slots_.max_slots, "replication slots there may be")
        ->type_name("NUMBER")
        ->group(group)
        ->capture_default_str();
    app.add_option("--max-slot-wal-keep-size", max_keep_,
                   "WAL that a slot may hold back (half of the file system); 0: any amount")
        ->type_name("SIZE")
        ->group(group);
    const std::string logins = "Who may connect";
    app.add_option(
           "--listen", listen_,
           fmt::format("address to listen on, with a port if it is not {}; may be repeated", kDefaultPort))
        ->type_name("HOST[:PORT]")
        ->group(logins);
    app.add_option("--users", options_.users_file,
                   "file with a line for each role that may log in, ROLE:VERIFIER as in pg_authid; mode 0600")
        ->type_name("FILE")
        ->group(logins);
    app.add_option("--tls-cert", tls_.certificate, "certificate to show, then those above it (PEM)")
        ->type_name("FILE")
        ->group(logins);
    app.add_option("--tls-key", tls_.key, "its key; mode 0600")->type_name("FILE")->group(logins);
    app.add_flag("--allow-cleartext", allow_cleartext_, "let other hosts log in without TLS")->group(logins);
    const std::string bounds = "Bounds";
    app.add_option("--max-connections", options_.max_connections, "clients that are logged in")
        ->type_name("NUMBER")
        ->group(bounds)
        ->capture_default_str();
    app.add_option("--max-not-logged-in", options_.max_not_logged_in,
                   "clients that are not yet; for one more the oldest is dropped")
        ->type_name("NUMBER")
        ->group(bounds)
        ->capture_default_str();
    app.add_option("--wal-sender-timeout", timeout_seconds_,
                   "seconds without a word after which a standby counts as gone; 0: never")
        ->type_name("SECONDS")
        ->group(bounds)
        ->capture_default_str();
  }

  Result<void> prepare(CommandContext& /*context*/) override {
    if (options_.folder.empty()) {
      return Error(ErrorCode::kUsage, "no folder with WAL was given", "Name it with -D.");
    }
    if (options_.users_file.empty()) {
      return Error(ErrorCode::kUsage, "nobody may log in",
                   "Name a file with --users. A line of it on the primary: SELECT rolname || ':' || "
                   "rolpassword FROM pg_authid WHERE rolname = 'NAME'.");
    }
    if (tls_.certificate.empty() != tls_.key.empty()) {
      return Error(ErrorCode::kUsage, "--tls-cert and --tls-key go together", "Give both, or neither.");
    }
    if (!tls_.certificate.empty()) options_.tls = tls_;
    if (allow_cleartext_) options_.cleartext = witness::Cleartext::kAllowed;
    if (listen_.empty()) listen_.emplace_back("127.0.0.1");
    for (const std::string& text : listen_) {
      options_.listen.push_back(TRY(net::parse_listen_address(text, kDefaultPort)));
    }
    return take_bounds();
  }

  Result<int> run(CommandContext& context) override {
    const auto folder = TRY(witness::open_served_folder(context.files, options_.folder));
    options_.facts = folder.facts;
    slots_.folder = options_.folder;
    slots_.segment_bytes = folder.facts.segment_bytes;
    const auto slots = TRY(store::Slots::open(context.files, slots_));
    witness::StoreNews news;
    news.publish(folder.view);
    const HangupFd hangup;
    const auto server = TRY(witness::Server::open(context.files, news, *slots, options_));
    for (const net::ListenAddress& address : server->addresses()) {
      context.reporter.info(fmt::format("serving WAL of system {}, timeline {} up to {}, on {}",
                                        folder.facts.system_id.to_string(), folder.view.timeline.value(),
                                        folder.view.durable_end.to_string(), net::to_string(address)));
    }
    TRY(server->run(context.reporter, context.stop, hangup.fd()));
    context.output.json(
        {{"timeline", folder.view.timeline.value()}, {"served_up_to", folder.view.durable_end.to_string()}});
    return 0;
  }

 private:
  Result<void> take_bounds() {
    if (!max_keep_.empty()) {
      slots_.max_keep_bytes = max_keep_ == "0" ? 0 : pg::parse_shown_bytes(max_keep_);
      if (!slots_.max_keep_bytes) {
        return Error(ErrorCode::kUsage,
                     fmt::format("--max-slot-wal-keep-size \"{}\" is not a size", max_keep_),
                     "Write a whole number and its unit: 64GB, 512MB, or 0 for any amount.");
      }
    }
    if (timeout_seconds_ < 0 || timeout_seconds_ > kMaxTimeoutSeconds) {
      return Error(ErrorCode::kUsage,
                   fmt::format("--wal-sender-timeout must be between 0 and {}", kMaxTimeoutSeconds),
                   "Leave it out for 60 seconds.");
    }
    options_.wal_sender_timeout = base::Seconds(timeout_seconds_);
    for (const std::size_t number : {options_.max_connections, options_.max_not_logged_in}) {
      if (number > 0 && number <= kMostConnections) continue;
      return Error(
          ErrorCode::kUsage,
          fmt::format("--max-connections and --max-not-logged-in must be between 1 and {}", kMostConnections),
          "Leave them out.");
    }
    return base::ok();
  }

  witness::ServerOptions options_;
  store::Slots::Options slots_;
  witness::TlsContext::Files tls_;
  std::vector<std::string> listen_;
  std::string max_keep_;
  std::int64_t timeout_seconds_ = 60;
  bool allow_cleartext_ = false;
};

}  // namespace

std::unique_ptr<Command> make_wal_serve_command() {
  return std::make_unique<WalServeCommand>();
}

}  // namespace standfast::cli
