#include "setup/admin_session.h"

#include <charconv>
#include <cstdlib>
#include <utility>

#include "env/process.h"
#include "setup/login_rule.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Milliseconds kPollInterval{20};
/// What the server says of a rule that it loads although it can never match (libpq/hba.c), ssl being off.
constexpr std::string_view kNeverMatches = "record cannot match";

}  // namespace

Result<client::Connection> AdminSession::open(const std::string& database, const env::Wait& wait) {
  client::ConnectOptions options = TRY(cluster_->local_connection(database));
  options.set("hostaddr", "");  // the environment's would win over the socket
  if (superuser_) options.set("user", *superuser_);
  options.set("application_name", "standfast primary setup");
  // A primary that waits for a synchronous standby that does not exist yet would wait here for ever.
  options.set("options",
              "-c search_path=pg_catalog -c synchronous_commit=local -c default_transaction_read_only=off");
  auto connection = client::Connection::open(options, wait);
  if (connection) return connection;
  Error error = std::move(connection).error();
  if (error.code == ErrorCode::kAuthentication) {
    error.hint =
        explanation_of(database) +
        "Name with -U a superuser that pg_hba.conf lets this operating system user log in as, or run this as "
        "the server's own user.";
  }
  if (error.code == ErrorCode::kPrecondition && database == maintenance_database_) {
    error.hint = "Name a database that is there and takes connections with --maintenance-db.";
  }
  return std::move(error).with_context("could not log in to the server of \"" + cluster_->data_directory() +
                                       "\"");
}

/// Which line turned the login away, as sentences before another one; "" when that cannot be told.
std::string AdminSession::explanation_of(const std::string& database) const {
  const auto postmaster = cluster_->running();
  if (!postmaster || !*postmaster) return "";
  pg::HbaConnection login;
  login.database = database;
  const char* const user = std::getenv("PGUSER");
  if (superuser_ || (user != nullptr && *user != '\0')) {
    login.user = superuser_.value_or(user != nullptr ? user : "");
  } else if (const auto owner = env::find_user(env::effective_user()); owner && *owner) {
    login.user = (*owner)->name;
  }
  if ((*postmaster)->socket_directory.empty()) login.address = "127.0.0.1";
  const auto said = explain_login(env::posix_file_system(), *cluster_, login);
  return said ? *said + " " : "";
}

Result<client::Connection> AdminSession::connect_to(const std::string& database) {
  return open(database, env::Wait::for_at_most(kConnectTimeout, stop_));
}

Result<void> AdminSession::reload(const env::Wait& wait) {
  std::string loaded_before;
  {
    client::Connection connection = TRY(open(maintenance_database_, wait));
    loaded_before = TRY(connection.query_value("SELECT pg_conf_load_time()", wait));
    TRY(connection.execute("SELECT pg_reload_conf()", wait));
  }
  while (true) {
    client::Connection connection = TRY(open(maintenance_database_, wait));
    if (TRY(connection.query_value("SELECT pg_conf_load_time()", wait)) != loaded_before) return base::ok();
    const base::Deadline next = base::Deadline::after(kPollInterval).earlier(wait.deadline);
    if (env::wait_for(-1, 0, {next, wait.stop}) == env::Ready::kStopped) return env::cancelled_error();
    if (wait.deadline.passed()) {
      return Error(ErrorCode::kTimeout, "the server did not reload its configuration in time",
                   "Its log tells whether it could read the files.");
    }
  }
}

Result<std::vector<HbaError>> hba_file_errors(client::Connection& admin, const env::Wait& wait) {
  const bool names_files = admin.server_version().hba_file_rules_name_their_file();
  const std::string file = names_files ? "CASE WHEN file_name = current_setting('hba_file') THEN '' ELSE "
                                         "coalesce(file_name, '') END"
                                       : "''";
  const client::Rows rows =
      TRY(admin.query("SELECT coalesce(line_number, 0), error, " + file +
                          " FROM pg_hba_file_rules WHERE error IS NOT NULL ORDER BY 3, 1",
                      wait));
  std::vector<HbaError> errors;
  for (int row = 0; row < rows.count(); ++row) {
    HbaError error;
    const std::string_view line = rows.text(row, 0);
    std::from_chars(line.data(), line.data() + line.size(), error.line_number);
    error.message = rows.text(row, 1);
    error.file = rows.text(row, 2);
    if (error.message.find(kNeverMatches) == std::string::npos) errors.push_back(std::move(error));
  }
  return errors;
}

Result<std::vector<HbaError>> SessionHbaServer::errors_of_file() {
  client::Connection connection = TRY(session_->connect());
  return hba_file_errors(connection, session_->wait());
}

Result<void> SessionHbaServer::reload(Interruption interruption) {
  return session_->reload(interruption == Interruption::kAllowed ? session_->reload_wait()
                                                                 : env::Wait::for_at_most(kReloadTimeout));
}

}  // namespace standfast::setup
