#include "setup/login_trial.h"

#include <utility>

#include <fmt/format.h>

#include "pg/client/connection.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

client::ConnectOptions options_of(const LoginTrial& trial) {
  client::ConnectOptions options;
  options.set("host", trial.host).set("hostaddr", trial.address).set("port", std::to_string(trial.port));
  options.set("user", trial.role).set("application_name", "standfast primary setup");
  options.set("options", "").set("gssencmode", "disable");
  if (trial.database) {
    options.set("dbname", *trial.database);
  } else {
    options.set("replication", "true");
  }
  if (trial.pinned_certificate_path) {
    options.set("sslmode", trial.sslmode).set("sslrootcert", *trial.pinned_certificate_path);
    options.set("channel_binding", "require");
  } else {
    options.set("sslmode", "disable");
  }
  options.password = trial.password;
  return options;
}

Result<void> login(const LoginTrial& trial, const env::Wait& wait) {
  auto connection = TRY(client::Connection::open(options_of(trial), wait));
  const std::string answer =
      trial.database ? TRY(connection.query_value("SELECT system_identifier FROM pg_control_system()", wait))
                     : std::string(TRY(connection.simple_query("IDENTIFY_SYSTEM", wait)).text(0, 0));
  if (pg::SystemId::parse(answer) == trial.system_id) return base::ok();
  return Error(ErrorCode::kPrecondition, "another server answers there",
               "Something else has that address and port, or forwards them; say with --advertise where this "
               "server is reached.");
}

}  // namespace

Result<void> try_login(const LoginTrial& trial, const env::Wait& wait) {
  auto result = login(trial, wait);
  if (result) return result;
  Error error = std::move(result).error();
  if (error.code == ErrorCode::kCertificate) {
    error.hint =
        "A standby could not verify the certificate either. If a CA issued it, name the CA's certificate "
        "with "
        "--ca-file; check its dates and names too.";
  }
  return std::move(error).with_context(fmt::format("the login of {} by {} port {}, as a standby will do it",
                                                   trial.role, trial.address, trial.port));
}

}  // namespace standfast::setup
