#include "cli/server_arguments.h"

#include <algorithm>
#include <cstdlib>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/completion.h"
#include "cli/which_cluster.h"
#include "env/terminal.h"
#include "pg/format/conninfo.h"
#include "pg/server/cluster.h"
#include "pg/server/cluster_search.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// Statements go to this database where nothing names one: it is always there, unlike one named as the role.
constexpr const char* kMaintenanceDatabase = "postgres";
/// The operating system's user of that name, as packages make it.
constexpr const char* kUserWithoutDirectory = "postgres";

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

bool is_conninfo(const std::string& text) {
  return text.find('=') != std::string::npos || text.starts_with("postgres://") ||
         text.starts_with("postgresql://");
}

bool names(const client::ConnectOptions& options, std::string_view keyword) {
  for (const auto& [name, value] : options.parameters) {
    if (name == keyword && !value.empty()) return true;
  }
  return false;
}

}  // namespace

void ServerArguments::declare(CLI::App& app) {
  const std::string group = "Which servers";
  app.add_option("-D,--pgdata", data_directory_, "the server that runs on this data directory (or PGDATA)")
      ->type_name("DIR")
      ->group(group);
  app.add_option("-d,--dbname", conninfos_,
                 "a server, as a connection string or URI; give it twice for both sides")
      ->type_name("CONNINFO")
      ->take_all()
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("-h,--host", host_, "the server's host or socket directory")
      ->type_name("HOST")
      ->group(group);
  app.add_option("-p,--port", port_, "the server's port")->type_name("PORT")->group(group);
  app.add_option("-U,--username", user_, "the role to log in as")->type_name("ROLE")->group(group);
  app.add_flag("-w,--no-password", never_ask_, "never ask for a password")->group(group);
  app.add_flag("-W,--password", ask_password_, "ask for the password first")->group(group);
}

Result<void> ServerArguments::prepare(CommandContext& context) {
  if (ask_password_ && never_ask_) {
    return Error(ErrorCode::kUsage, "-w and -W contradict each other", "Leave one of them out.");
  }
  const bool names_a_server = !conninfos_.empty() || !host_.empty() || !port_.empty();
  if (!data_directory_.empty() || !names_a_server) {
    data_directory_ = TRY(named_data_directory(data_directory_, context));
  }
  if (data_directory_.empty() && !names_a_server) take_the_only_cluster(context);
  if (ask_password_) password_ = TRY(env::ask_secret("Password: ", context.stop));
  return base::ok();
}

/// Where the environment names no server either, the only one that runs here is meant; of several libpq's
/// defaults choose one, as for psql.
void ServerArguments::take_the_only_cluster(CommandContext& context) {
  for (const char* variable : {"PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE"}) {
    if (is_set(variable)) return;
  }
  const auto found = server::without_claims(server::find_clusters(context.files));
  if (found.size() != 1 || found.front().state != server::RunState::kRunning) return;
  context.reporter.info("found " + found.front().describe());
  data_directory_ = found.front().data_directory;
}

std::optional<OwnerRule> ServerArguments::owner_rule() const {
  if (!data_directory_.empty()) return OwnerRule{.data_directory = data_directory_};
  // No directory tells whom root becomes, and what a server answers is not for root to read.
  return OwnerRule{.data_directory = "", .user = kUserWithoutDirectory};
}

Result<std::vector<client::ConnectOptions>> ServerArguments::servers(CommandContext& context) const {
  std::vector<client::ConnectOptions> servers;
  if (!data_directory_.empty()) servers.push_back(TRY(from_data_directory(context)));
  for (client::ConnectOptions& named : TRY(named_servers())) servers.push_back(std::move(named));
  const bool by_host = data_directory_.empty() && (!host_.empty() || !port_.empty());
  if (servers.empty() || by_host) servers.push_back(from_host());
  return servers;
}

Result<std::vector<client::ConnectOptions>> ServerArguments::named_servers() const {
  std::vector<client::ConnectOptions> servers;
  for (const std::string& conninfo : conninfos_) servers.push_back(TRY(from_conninfo(conninfo)));
  return servers;
}

std::string ServerArguments::to_reach_again() const {
  std::string text;
  const auto add = [&](std::string_view option, const std::string& value) {
    constexpr std::string_view kPlain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,@%+=";
    const bool is_plain = value.find_first_not_of(kPlain) == std::string::npos;
    if (!value.empty()) text += fmt::format(" {} {}", option, is_plain ? value : shell_single_quoted(value));
  };
  add("-D", data_directory_);
  if (data_directory_.empty() && !conninfos_.empty()) {
    const auto conninfo = client::parse_conninfo(conninfos_.front());
    const bool is_secret = conninfo && std::any_of(conninfo->begin(), conninfo->end(), [](const auto& pair) {
                             return pg::is_secret_keyword(pair.first);
                           });
    add("-d", is_secret ? "CONNINFO" : conninfos_.front());
  }
  if (data_directory_.empty()) {
    add("-h", host_);
    add("-p", port_);
  }
  add("-U", user_);
  return text;
}

Result<client::ConnectOptions> ServerArguments::from_data_directory(CommandContext& context) const {
  const auto cluster = TRY(server::Cluster::open(context.files, data_directory_));
  const auto running = TRY(cluster.running());
  if (!running && TRY(cluster.is_standby())) {
    return Error(ErrorCode::kStandbyUnreachable,
                 fmt::format("the standby on \"{}\" is not running", cluster.data_directory()),
                 fmt::format("Start it: standfast standby start -D {}", cluster.data_directory()));
  }
  auto options = TRY(cluster.local_connection(kMaintenanceDatabase));
  if (!user_.empty()) options.set("user", user_);
  if (password_) options.password = password_;
  return options;
}

Result<client::ConnectOptions> ServerArguments::from_conninfo(const std::string& text) const {
  client::ConnectOptions options;
  if (is_conninfo(text)) {
    options.parameters = TRY(client::parse_conninfo(text));
  } else {
    options.set("dbname", text);
    if (!host_.empty()) options.set("host", host_);
    if (!port_.empty()) options.set("port", port_);
  }
  add_login(options);
  return options;
}

client::ConnectOptions ServerArguments::from_host() const {
  client::ConnectOptions options;
  if (!host_.empty()) options.set("host", host_);
  if (!port_.empty()) options.set("port", port_);
  add_login(options);
  return options;
}

void ServerArguments::add_login(client::ConnectOptions& options) const {
  if (!user_.empty() && !names(options, "user")) options.set("user", user_);
  const bool may_come_from_a_service = names(options, "service") || is_set("PGSERVICE");
  if (!names(options, "dbname") && !is_set("PGDATABASE") && !may_come_from_a_service) {
    options.set("dbname", kMaintenanceDatabase);
  }
  if (password_) options.password = password_;
}

}  // namespace standfast::cli
