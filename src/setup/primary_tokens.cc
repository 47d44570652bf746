#include "setup/primary_tokens.h"

#include <utility>

#include <fmt/format.h>

#include "pg/format/conninfo.h"
#include "pg/format/sql_text.h"
#include "setup/names.h"

namespace standfast::setup {

using base::Result;

Result<WrittenToken> write_token(const client::SecretStore& store, const TokenBasis& basis,
                                 const TokenHolder& holder) {
  pg::Token token;
  token.kind = holder.kind;
  token.host = holder.host;
  token.port = basis.port;
  token.replication_user = basis.replication_role;
  token.replication_password = basis.replication_password;
  token.slot = holder.slot;
  token.system_id = basis.system_id;
  if (holder.kind == pg::TokenKind::kStandby) {
    token.monitor_user = kMonitorRole;
    token.monitor_password = basis.monitor_password;
    token.monitor_database = kMonitorDatabase;
  }
  token.certificate_sha256 = basis.certificate_sha256;
  token.ca_der = basis.ca_der;
  token.agent = holder.agent;
  base::Secret text = TRY(pg::encode_token(token));
  const std::string name = token_file_name(holder.slot);
  const auto written = TRY(store.write(basis.system_id, name, base::Secret(text.reveal() + "\n")));
  return WrittenToken{std::move(text), store.path_of(basis.system_id, name), written};
}

Result<std::optional<pg::TokenAgent>> agent_of_token(const client::SecretStore& store, pg::SystemId system_id,
                                                     const std::string& slot) {
  const auto text = TRY(store.read(system_id, token_file_name(slot)));
  const auto token = text ? pg::decode_token(text->reveal()) : base::Error();
  return token ? token->agent : std::optional<pg::TokenAgent>();
}

Result<std::optional<WrittenToken>> renew_token(const client::SecretStore& store, const TokenBasis& basis,
                                                const std::string& slot) {
  const auto old_text = TRY(store.read(basis.system_id, token_file_name(slot)));
  if (!old_text) return std::optional<WrittenToken>();
  const auto old_token = pg::decode_token(old_text->reveal());
  if (!old_token) return std::optional<WrittenToken>();
  const TokenHolder holder{old_token->kind, slot, old_token->host, old_token->agent};
  return std::optional(TRY(write_token(store, basis, holder)));
}

namespace {

/// How to log in there by hand: the password and the certificate, a line each, and the connection string.
pg::Conninfo manual_login(const ManualWay& way, std::vector<std::string>& lines) {
  pg::Conninfo conninfo;
  conninfo.set("host", way.host);
  conninfo.set("port", std::to_string(way.port));
  conninfo.set("user", way.replication_role);
  lines.push_back(fmt::format(
      "# the password of {} is in {} on this host; put it into ~/.pgpass there (0600):", way.replication_role,
      way.password_path));
  lines.push_back(fmt::format("#   {}:{}:*:{}:PASSWORD", way.host, way.port, way.replication_role));
  if (!way.certificate_path) return conninfo;
  conninfo.set("sslmode", "verify-ca");
  conninfo.set("sslrootcert", "/PATH/primary.crt");
  lines.push_back(
      fmt::format("# copy {} of this host to /PATH/primary.crt there: it is the server's certificate",
                  *way.certificate_path));
  return conninfo;
}

}  // namespace

std::vector<std::string> manual_witness_commands(const ManualWay& way) {
  std::vector<std::string> lines = {
      "# as any user on the witness's host, with a folder DIR of its own (0700)"};
  pg::Conninfo conninfo = manual_login(way, lines);
  lines.push_back(fmt::format(
      "# who may get WAL from the witness: the line that this prints on this host, in /PATH/users "
      "there (0600):"));
  lines.push_back(
      fmt::format("#   psql -d postgres -Atc \"SELECT rolname || ':' || rolpassword FROM pg_authid WHERE "
                  "rolname = {}\"",
                  pg::quote_literal(way.replication_role)));
  lines.push_back("# a certificate to serve with: a standby that follows over TLS does not ask in clear");
  lines.push_back(fmt::format(
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN={} -keyout "
      "/PATH/witness.key -out /PATH/witness.crt",
      way.slot));
  lines.push_back(
      fmt::format("standfast witness -d \"{}\" --name {} -D DIR --listen {} --users /PATH/users --tls-cert "
                  "/PATH/witness.crt --tls-key /PATH/witness.key",
                  conninfo.to_string(), way.slot, way.listen));
  lines.push_back(
      "# or PostgreSQL's own receiver, which keeps the WAL and serves none: a promotion cannot ask it");
  conninfo.set("application_name", way.slot);
  lines.push_back(
      fmt::format("pg_receivewal -d \"{}\" -D DIR -S {} --synchronous", conninfo.to_string(), way.slot));
  return lines;
}

std::vector<std::string> manual_commands(const ManualWay& way) {
  std::vector<std::string> lines = {
      "# as the server's user on the standby, its server stopped and its data directory DIR empty"};
  const pg::Conninfo conninfo = manual_login(way, lines);
  lines.push_back(
      fmt::format("pg_basebackup -d \"{}\" -D DIR -P -v -R -X stream -S {}", conninfo.to_string(), way.slot));
  lines.push_back(
      fmt::format("# -R writes standby.signal and, into postgresql.auto.conf, primary_conninfo and "
                  "primary_slot_name = '{}'",
                  way.slot));
  lines.push_back("pg_ctl -D DIR start");
  return lines;
}

}  // namespace standfast::setup
