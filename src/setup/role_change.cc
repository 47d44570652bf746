#include "setup/role_change.h"

#include <utility>
#include <vector>

#include "base/check.h"
#include "pg/format/sql_text.h"
#include "setup/names.h"

namespace standfast::setup {
namespace {

using base::Result;

struct QuietSetting {
  std::string_view name;
  std::string_view value;
};

/// Everything that could write a statement, or its parse tree, somewhere. The extensions' settings are there
/// only when they are loaded.
constexpr QuietSetting kQuietSettings[] = {
    {"log_statement", "none"},
    {"log_min_duration_statement", "-1"},
    {"log_min_duration_sample", "-1"},
    {"log_transaction_sample_rate", "0"},
    {"log_duration", "off"},
    {"log_min_error_statement", "panic"},
    {"log_parser_stats", "off"},
    {"log_planner_stats", "off"},
    {"log_executor_stats", "off"},
    {"log_statement_stats", "off"},
    {"debug_print_parse", "off"},
    {"debug_print_rewritten", "off"},
    {"debug_print_plan", "off"},
    {"track_activities", "off"},
    {"pg_stat_statements.track", "none"},
    {"pg_stat_statements.track_utility", "off"},
    {"auto_explain.log_min_duration", "-1"},
    {"pgaudit.log", "none"},
    {"pgaudit.role", ""},
};

bool gives_password(const RolePlan& role) {
  return role.create || role.password == PasswordAction::kReplace ||
         role.password == PasswordAction::kStoreAsScram;
}

Result<void> change_role(client::Connection& admin, const RoleChange& change, const env::Wait& wait) {
  const std::string name = pg::quote_identifier(change.role.name);
  if (gives_password(change.role)) {
    CHECK(change.password.has_value());
    const base::Secret verifier = TRY(admin.scram_verifier(change.role.name, *change.password));
    const std::string begin =
        change.role.create ? "CREATE ROLE " + name + " " + change.attributes : "ALTER ROLE " + name;
    const base::Secret statement(begin + " PASSWORD " + pg::quote_literal(verifier.reveal()));
    TRY(admin.execute_secret(
        statement, (change.role.create ? "create role " : "give a password to role ") + name, wait));
  }
  if (change.role.grant_monitor) TRY(admin.execute("GRANT pg_monitor TO " + name, wait));
  return base::ok();
}

}  // namespace

Result<void> quiet_session(client::Connection& admin, const env::Wait& wait) {
  std::string names;
  for (const QuietSetting& setting : kQuietSettings) {
    names += (names.empty() ? "" : ", ") + pg::quote_literal(setting.name);
  }
  const client::Rows rows =
      TRY(admin.query("SELECT name FROM pg_settings WHERE name IN (" + names + ")", wait));
  for (int row = 0; row < rows.count(); ++row) {
    for (const QuietSetting& setting : kQuietSettings) {
      if (setting.name != rows.text(row, 0)) continue;
      const std::optional<std::string> parameters[] = {std::string(setting.name), std::string(setting.value)};
      TRY(admin.query("SELECT set_config($1, $2, false)", parameters, wait));
    }
  }
  return base::ok();
}

Result<void> change_roles(client::Connection& admin, const RoleChange& replication, const RoleChange& monitor,
                          const env::Wait& wait) {
  TRY(admin.execute("BEGIN", wait));
  for (const RoleChange* change : {&replication, &monitor}) {
    if (auto changed = change_role(admin, *change, wait); !changed) {
      static_cast<void>(admin.execute("ROLLBACK", wait));
      return changed;
    }
  }
  return admin.execute("COMMIT", wait);
}

Result<void> create_monitor_database(client::Connection& admin, const env::Wait& wait) {
  // template0 is what initdb made, whatever was put into template1 since, and nobody is connected to it.
  return admin.execute("CREATE DATABASE " + pg::quote_identifier(kMonitorDatabase) + " OWNER " +
                           pg::quote_identifier(kMonitorRole) + " TEMPLATE template0",
                       wait);
}

Result<void> shut_public_out(client::Connection& admin, const env::Wait& wait) {
  return admin.execute(
      "REVOKE CONNECT, TEMPORARY ON DATABASE " + pg::quote_identifier(kMonitorDatabase) + " FROM PUBLIC",
      wait);
}

}  // namespace standfast::setup
