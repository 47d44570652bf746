#include "setup/standby_login.h"

#include <fmt/format.h>

#include "pg/client/certificate_chain.h"
#include "pg/client/server_certificate.h"
#include "pg/format/passfile.h"
#include "setup/names.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kConnectTimeout{30};

Result<base::Secret> render_passfile(const pg::Token& token) {
  const std::string port = std::to_string(token.port);
  std::string text;
  for (const auto& [user, password] : {std::pair(token.replication_user, token.replication_password),
                                       std::pair(token.monitor_user, token.monitor_password)}) {
    if (user.empty()) continue;  // a witness's monitor
    const auto line = TRY(pg::render_passfile_line({token.host, port, std::nullopt, user, password}));
    text += line.reveal() + "\n";
  }
  return base::Secret(std::move(text));
}

Result<std::string> fetch_pinned_certificate(const pg::Token& token, const SetupEnvironment& environment) {
  auto certificate = TRY(
      client::fetch_server_certificate(token.host, token.port, environment.wait_at_most(kConnectTimeout)));
  if (certificate.sha256_hex != *token.certificate_sha256) {
    return Error(
        ErrorCode::kCertificate,
        fmt::format("the server at {} port {} shows another certificate than the one the token names",
                    token.host, token.port),
        "If the primary's certificate was renewed, run \"standfast primary setup\" there again and use the "
        "new token; "
        "if not, someone may be in between. Nothing was sent.");
  }
  return certificate.pem + TRY(client::pem_of_der(token.ca_der));
}

std::string trial_certificate_name(const pg::Token& token) {
  return standby_certificate_name(token.slot) + ".trial";
}

client::ConnectOptions login(const StandbyLogin& files, const pg::Token& token, const std::string& user,
                             const base::Secret& password, pg::Version libpq) {
  client::ConnectOptions options;
  options.set("host", token.host).set("port", std::to_string(token.port)).set("user", user);
  if (files.passfile) {
    options.set("passfile", *files.passfile);
  } else {
    options.password = password;
  }
  if (files.certificate_file) {
    options.set("sslmode", files.sslmode(token, libpq)).set("sslrootcert", *files.certificate_file);
    if (libpq.libpq_has_channel_binding()) options.set("channel_binding", "require");
  }
  return options;
}

}  // namespace

std::string StandbyLogin::sslmode(const pg::Token& token, pg::Version libpq) const {
  return client::sslmode_for(certificate_pem, token.host, libpq).value_or("verify-ca");
}

client::ConnectOptions StandbyLogin::replication(const pg::Token& token, pg::Version libpq) const {
  return login(*this, token, token.replication_user, token.replication_password, libpq);
}

client::ConnectOptions StandbyLogin::monitor(const pg::Token& token) const {
  return login(*this, token, token.monitor_user, token.monitor_password, client::own_libpq_version())
      .set("dbname", token.monitor_database);
}

Result<StandbyLogin> try_standby_login(const pg::Token& token, const client::SecretStore& store,
                                       const SetupEnvironment& environment) {
  StandbyLogin trial;
  if (token.certificate_sha256) {
    trial.certificate_pem = TRY(fetch_pinned_certificate(token, environment));
    TRY(store.write(token.system_id, trial_certificate_name(token), base::Secret(trial.certificate_pem)));
    trial.certificate_file = store.path_of(token.system_id, trial_certificate_name(token));
  }
  const env::Wait wait = environment.wait_at_most(kConnectTimeout);
  if (token.kind == pg::TokenKind::kStandby) TRY(client::Connection::open(trial.monitor(token), wait));
  TRY(client::Connection::open(
      trial.replication(token, client::own_libpq_version()).set("replication", "true"), wait));
  return trial;
}

void forget_trial(const pg::Token& token, const client::SecretStore& store) {
  static_cast<void>(store.remove(token.system_id, trial_certificate_name(token)));
}

Result<StandbyLogin> keep_standby_login(const StandbyLogin& tried, const pg::Token& token,
                                        const client::SecretStore& store) {
  StandbyLogin login;
  const auto keep = [&](const std::string& name, const base::Secret& content) -> Result<std::string> {
    const auto written = TRY(store.write(token.system_id, name, content));
    if (written == client::SecretStore::Written::kNew) login.new_names.push_back(name);
    return store.path_of(token.system_id, name);
  };
  if (tried.certificate_file) {
    login.certificate_pem = tried.certificate_pem;
    login.certificate_file =
        TRY(keep(standby_certificate_name(token.slot), base::Secret(tried.certificate_pem)));
  }
  login.passfile = TRY(keep(standby_passfile_name(token.slot), TRY(render_passfile(token))));
  return login;
}

Result<std::optional<StandbyLogin>> find_kept_login(const pg::Token& token,
                                                    const client::SecretStore& store) {
  std::optional<StandbyLogin> none;
  const auto passfile = TRY(store.read(token.system_id, standby_passfile_name(token.slot)));
  if (!passfile || *passfile != TRY(render_passfile(token))) return none;
  StandbyLogin login;
  login.passfile = store.path_of(token.system_id, standby_passfile_name(token.slot));
  if (!token.certificate_sha256) return std::optional(std::move(login));
  const auto pem = TRY(store.read(token.system_id, standby_certificate_name(token.slot)));
  const auto leaf =
      pem ? client::read_leaf(pem->reveal()) : Result<client::LeafCertificate>(Error(ErrorCode::kIo, ""));
  const bool fits = leaf && leaf->sha256_hex == *token.certificate_sha256 &&
                    pem->reveal().ends_with(TRY(client::pem_of_der(token.ca_der)));
  if (!fits) return none;
  login.certificate_file = store.path_of(token.system_id, standby_certificate_name(token.slot));
  login.certificate_pem = pem->reveal();
  return std::optional(std::move(login));
}

void forget_standby_login(const StandbyLogin& login, const pg::Token& token,
                          const client::SecretStore& store) {
  for (const std::string& name : login.new_names) static_cast<void>(store.remove(token.system_id, name));
}

}  // namespace standfast::setup
