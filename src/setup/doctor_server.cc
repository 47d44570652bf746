// Asking the running server, and the settings of one that does not answer.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "env/process.h"
#include "setup/admin_session.h"
#include "setup/doctor_look.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// A server that is asked is not to be held up, and neither is who asks it.
constexpr base::Seconds kQueryTimeout{10};
constexpr base::Seconds kProgramTimeout{10};
constexpr const char* kMaintenanceDatabase = "postgres";

/// What is judged; none of them that a version does not have is missed.
constexpr auto kSettings = std::to_array<const char*>({"allow_alter_system",
                                                       "archive_command",
                                                       "archive_library",
                                                       "archive_mode",
                                                       "fsync",
                                                       "full_page_writes",
                                                       "hot_standby",
                                                       "hot_standby_feedback",
                                                       "listen_addresses",
                                                       "max_replication_slots",
                                                       "max_slot_wal_keep_size",
                                                       "max_wal_senders",
                                                       "password_encryption",
                                                       "primary_conninfo",
                                                       "primary_slot_name",
                                                       "recovery_min_apply_delay",
                                                       "restore_command",
                                                       "ssl",
                                                       "ssl_cert_file",
                                                       "synchronous_commit",
                                                       "synchronous_standby_names",
                                                       "wal_keep_segments",
                                                       "wal_keep_size",
                                                       "wal_level",
                                                       "wal_receiver_timeout",
                                                       "wal_sender_timeout"});

bool flag_of(const client::Rows& rows, int row, std::string_view column) {
  return text_of(rows, row, column) == "t";
}

/// The questions to one server, each on its own.
class Questions {
 public:
  Questions(client::Connection& connection, const SetupEnvironment& environment)
      : connection_(connection), environment_(environment) {}

  Result<SettingFacts> settings();
  Result<std::vector<FileError>> conf_errors();
  Result<std::vector<HbaRuleFact>> hba_rules();
  Result<std::vector<RoleFact>> roles();
  Result<std::map<std::string, SlotAges, std::less<>>> slot_ages();
  Result<std::vector<CollationMismatch>> collations();
  Result<ArchiverFacts> archiver();
  Result<PreparedFacts> prepared();
  Result<std::int64_t> conflicts();
  Result<std::int64_t> receiver_silent_seconds();
  env::Wait wait() const { return environment_.wait_at_most(kQueryTimeout); }

 private:
  Result<client::Rows> ask(const std::string& sql) { return connection_.query(sql, wait()); }
  pg::Version version() const { return connection_.server_version(); }
  Result<void> add_collations(const std::string& sql, std::vector<CollationMismatch>& into);

  client::Connection& connection_;
  const SetupEnvironment& environment_;
};

Result<SettingFacts> Questions::settings() {
  std::string names;
  for (const char* name : kSettings) names += fmt::format("{}'{}'", names.empty() ? "" : ", ", name);
  const client::Rows rows =
      TRY(ask(fmt::format("SELECT name, setting, source, CASE WHEN sourcefile IS NULL THEN '' ELSE "
                          "sourcefile || ':' || sourceline "
                          "END AS place, pending_restart FROM pg_settings WHERE name IN ({}) OR "
                          "pending_restart OR source = 'command line'",
                          names)));
  SettingFacts settings;
  for (int row = 0; row < rows.count(); ++row) {
    settings[text_of(rows, row, "name")] = {.value = text_of(rows, row, "setting"),
                                            .source = text_of(rows, row, "source"),
                                            .source_file = text_of(rows, row, "place"),
                                            .is_pending_restart = flag_of(rows, row, "pending_restart")};
  }
  return settings;
}

Result<std::vector<FileError>> Questions::conf_errors() {
  // A change that waits for a restart is told of as an error too; pg_settings tells it better.
  const client::Rows rows =
      TRY(ask("SELECT sourcefile, sourceline, name, error FROM pg_file_settings f WHERE error IS NOT NULL "
              "AND NOT EXISTS (SELECT FROM pg_settings s WHERE s.pending_restart AND s.name = lower(f.name)) "
              "ORDER BY seqno"));
  std::vector<FileError> errors;
  for (int row = 0; row < rows.count(); ++row) {
    const std::string name = text_of(rows, row, "name");
    errors.push_back({.file = text_of(rows, row, "sourcefile"),
                      .line = integer_of(rows, row, "sourceline").value_or(0),
                      .setting = name,
                      .message = (name.empty() ? "" : name + ": ") + text_of(rows, row, "error")});
  }
  return errors;
}

Result<std::vector<HbaRuleFact>> Questions::hba_rules() {
  const std::string file =
      version().hba_file_rules_name_their_file()
          ? "CASE WHEN file_name = current_setting('hba_file') THEN '' ELSE coalesce(file_name, '') END"
          : "''";
  const client::Rows rows = TRY(
      ask("SELECT " + file +
          " AS file, coalesce(line_number, 0) AS line, type, array_to_string(database, ',') AS databases, "
          "array_to_string(user_name, ',') AS users, address, netmask, auth_method, error FROM "
          "pg_hba_file_rules"));
  std::vector<HbaRuleFact> rules;
  for (int row = 0; row < rows.count(); ++row) {
    rules.push_back({.file = text_of(rows, row, "file"),
                     .line = integer_of(rows, row, "line").value_or(0),
                     .type = text_of(rows, row, "type"),
                     .databases = text_of(rows, row, "databases"),
                     .users = text_of(rows, row, "users"),
                     .address = text_of(rows, row, "address"),
                     .netmask = text_of(rows, row, "netmask"),
                     .method = text_of(rows, row, "auth_method"),
                     .error = text_of(rows, row, "error")});
  }
  return rules;
}

Result<std::vector<RoleFact>> Questions::roles() {
  // Of a verifier only its kind leaves the server.
  const client::Rows rows =
      TRY(ask("SELECT rolname, rolsuper, rolcanlogin, rolreplication, coalesce(rolvaliduntil < now(), false) "
              "AS is_expired, "
              "CASE WHEN rolpassword IS NULL THEN 'none' WHEN rolpassword LIKE 'md5%' THEN 'md5' "
              "WHEN rolpassword LIKE 'SCRAM-SHA-256$%' THEN 'scram' ELSE 'other' END AS form FROM pg_authid "
              "WHERE rolcanlogin OR rolreplication ORDER BY rolname"));
  std::vector<RoleFact> roles;
  for (int row = 0; row < rows.count(); ++row) {
    const std::string form = text_of(rows, row, "form");
    roles.push_back({.name = text_of(rows, row, "rolname"),
                     .is_superuser = flag_of(rows, row, "rolsuper"),
                     .can_login = flag_of(rows, row, "rolcanlogin"),
                     .has_replication = flag_of(rows, row, "rolreplication"),
                     .is_expired = flag_of(rows, row, "is_expired"),
                     .password = form == "none"    ? PasswordForm::kNone
                                 : form == "md5"   ? PasswordForm::kMd5
                                 : form == "scram" ? PasswordForm::kScram
                                                   : PasswordForm::kOther});
  }
  return roles;
}

Result<std::map<std::string, SlotAges, std::less<>>> Questions::slot_ages() {
  // By way of json, a column that a version does not have is no error.
  const client::Rows rows =
      TRY(ask("SELECT slot_name, coalesce(greatest(age(xmin), age(catalog_xmin)), 0) AS xmin_age, "
              "coalesce(to_jsonb(s) ->> 'failover', 'f') AS failover FROM pg_replication_slots s"));
  std::map<std::string, SlotAges, std::less<>> ages;
  for (int row = 0; row < rows.count(); ++row) {
    ages[text_of(rows, row, "slot_name")] = {.xmin_age = integer_of(rows, row, "xmin_age").value_or(0),
                                             .is_failover = text_of(rows, row, "failover").starts_with('t')};
  }
  return ages;
}

Result<void> Questions::add_collations(const std::string& sql, std::vector<CollationMismatch>& into) {
  const client::Rows rows = TRY(ask(sql));
  for (int row = 0; row < rows.count(); ++row) {
    into.push_back({.what = text_of(rows, row, "what"),
                    .recorded = text_of(rows, row, "recorded"),
                    .actual = text_of(rows, row, "actual")});
  }
  return base::ok();
}

Result<std::vector<CollationMismatch>> Questions::collations() {
  std::vector<CollationMismatch> mismatches;
  if (version().databases_have_collation_versions()) {
    TRY(add_collations(
        "SELECT * FROM (SELECT format('database \"%s\"', datname) AS what, datcollversion AS recorded, "
        "pg_database_collation_actual_version(oid) AS actual FROM pg_database WHERE datallowconn AND "
        "datcollversion IS NOT NULL) AS d WHERE recorded IS DISTINCT FROM actual ORDER BY what",
        mismatches));
  }
  TRY(add_collations(
      "SELECT * FROM (SELECT format('collation \"%s\" of database \"%s\"', collname, "
      "current_database()) AS what, collversion AS recorded, pg_collation_actual_version(oid) AS actual "
      "FROM pg_collation WHERE collversion IS NOT NULL) AS c WHERE recorded IS DISTINCT FROM actual "
      "ORDER BY what LIMIT 10",
      mismatches));
  return mismatches;
}

Result<ArchiverFacts> Questions::archiver() {
  const client::Rows rows = TRY(ask(
      "SELECT failed_count, coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) "
      "AS fails_now, last_failed_wal FROM pg_stat_archiver"));
  if (rows.count() != 1) return Error(ErrorCode::kProtocol, "pg_stat_archiver has no row");
  return ArchiverFacts{.failed_count = integer_of(rows, 0, "failed_count").value_or(0),
                       .fails_now = flag_of(rows, 0, "fails_now"),
                       .last_failed_wal = text_of(rows, 0, "last_failed_wal")};
}

Result<PreparedFacts> Questions::prepared() {
  const client::Rows rows = TRY(ask(
      "SELECT count(*) AS count, coalesce(extract(epoch FROM now() - min(prepared)), 0)::bigint AS seconds "
      "FROM pg_prepared_xacts"));
  if (rows.count() != 1) return Error(ErrorCode::kProtocol, "pg_prepared_xacts cannot be counted");
  return PreparedFacts{.count = integer_of(rows, 0, "count").value_or(0),
                       .oldest_seconds = integer_of(rows, 0, "seconds").value_or(0)};
}

Result<std::int64_t> Questions::conflicts() {
  const client::Rows rows =
      TRY(ask("SELECT sum(confl_tablespace + confl_lock + confl_snapshot + confl_bufferpin + confl_deadlock) "
              "AS count "
              "FROM pg_stat_database_conflicts"));
  return integer_of(rows, 0, "count").value_or(0);
}

Result<std::int64_t> Questions::receiver_silent_seconds() {
  const client::Rows rows = TRY(ask(
      "SELECT extract(epoch FROM now() - last_msg_receipt_time)::bigint AS seconds FROM pg_stat_wal_receiver "
      "WHERE last_msg_receipt_time IS NOT NULL"));
  if (rows.count() == 0) return Error(ErrorCode::kPrecondition, "there is no WAL receiver");
  return integer_of(rows, 0, "seconds").value_or(0);
}

/// The first thing the server complains of, without the time and the process before it.
std::string complaint_in(std::string_view errors) {
  std::string_view line = errors.substr(0, errors.find('\n'));
  for (const std::string_view level : {"LOG:  ", "FATAL:  "}) {
    const std::size_t at = line.find(level);
    if (at != std::string_view::npos) line.remove_prefix(at + level.size());
  }
  return std::string(line);
}

Result<client::Connection> log_in(const server::Cluster& cluster, const std::optional<std::string>& user,
                                  const SetupEnvironment& environment) {
  client::ConnectOptions options = TRY(cluster.local_connection(kMaintenanceDatabase));
  options.set("hostaddr", "");  // the environment's would win over the socket
  if (user) options.set("user", *user);
  options.set("application_name", "standfast doctor");
  options.set("options", "-c search_path=pg_catalog -c default_transaction_read_only=on");
  const env::Wait wait = environment.wait_at_most(kConnectTimeout);
  auto connection = TRY(client::Connection::open(options, wait));
  // Messages are compared; whoever may not set this gets them in the server's language.
  static_cast<void>(connection.execute("SET lc_messages TO 'C'", wait));
  const std::string theirs =
      TRY(connection.query_value("SELECT system_identifier FROM pg_control_system()", wait));
  const pg::ControlFile control = TRY(cluster.control_file());
  if (pg::SystemId::parse(theirs) != control.system_id) {
    return Error(ErrorCode::kPrecondition,
                 fmt::format("the server reached at {} port {} is not that of this data directory",
                             connection.host(), connection.port()));
  }
  return connection;
}

}  // namespace

Result<ServerAnswers> ask_server(const server::Cluster& cluster, const std::optional<std::string>& user,
                                 const SetupEnvironment& environment) {
  client::Connection connection = TRY(log_in(cluster, user, environment));
  Questions questions(connection, environment);
  ServerAnswers answers;
  RunningFacts& server = answers.server;
  server.version = connection.server_version();
  server.role = connection.user();
  server.replication = read_server_facts(connection, questions.wait());
  answers.settings = questions.settings();
  server.conf_errors = questions.conf_errors();
  server.hba_rules = questions.hba_rules();
  server.roles = questions.roles();
  server.slot_ages = questions.slot_ages();
  server.collations = questions.collations();
  server.archiver = questions.archiver();
  server.prepared = questions.prepared();
  server.conflicts = questions.conflicts();
  server.receiver_silent_seconds = questions.receiver_silent_seconds();
  if (environment.stop.is_set()) return env::cancelled_error();
  return answers;
}

Result<SettingFacts> read_configured_settings(const server::Cluster& cluster,
                                              const std::string& bin_directory,
                                              const SetupEnvironment& environment) {
  SettingFacts settings;
  for (const char* name : kSettings) {
    const auto result = TRY(env::run_command(
        {.argv = {bin_directory + "/postgres", "-D", cluster.configuration_directory(), "-C", name},
         .set_env = {{"LC_ALL", "C"}},
         .environment = env::ChildEnvironment::kWithoutPostgres},
        environment.wait_at_most(kProgramTimeout)));
    if (result.exit_code == 0) {
      settings[name] = {.value = result.output.substr(0, result.output.find('\n'))};
    } else if (result.errors.find("unrecognized configuration parameter \"" + std::string(name)) ==
               std::string::npos) {
      return Error(ErrorCode::kPrecondition, complaint_in(result.errors));
    }
  }
  return settings;
}

}  // namespace standfast::setup
