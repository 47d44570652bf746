#include "setup/primary_tokens.h"

#include <utility>

#include <fmt/format.h>

#include "pg/format/conninfo.h"
#include "setup/names.h"

namespace standfast::setup {

using base::Result;

Result<WrittenToken> write_token(const client::SecretStore& store, const TokenBasis& basis,
                                 const std::string& slot, const std::string& host) {
  pg::Token token;
  token.host = host;
  token.port = basis.port;
  token.replication_user = basis.replication_role;
  token.replication_password = basis.replication_password;
  token.slot = slot;
  token.system_id = basis.system_id;
  token.monitor_user = kMonitorRole;
  token.monitor_password = basis.monitor_password;
  token.monitor_database = kMonitorDatabase;
  token.certificate_sha256 = basis.certificate_sha256;
  token.ca_der = basis.ca_der;
  base::Secret text = TRY(pg::encode_token(token));
  const std::string name = token_file_name(slot);
  const auto written = TRY(store.write(basis.system_id, name, base::Secret(text.reveal() + "\n")));
  return WrittenToken{std::move(text), store.path_of(basis.system_id, name), written};
}

Result<std::optional<WrittenToken>> renew_token(const client::SecretStore& store, const TokenBasis& basis,
                                                const std::string& slot) {
  const auto old_text = TRY(store.read(basis.system_id, token_file_name(slot)));
  if (!old_text) return std::optional<WrittenToken>();
  const auto old_token = pg::decode_token(old_text->reveal());
  if (!old_token) return std::optional<WrittenToken>();
  return std::optional(TRY(write_token(store, basis, slot, old_token->host)));
}

std::vector<std::string> manual_commands(const ManualWay& way) {
  pg::Conninfo conninfo;
  conninfo.set("host", way.host);
  conninfo.set("port", std::to_string(way.port));
  conninfo.set("user", way.replication_role);
  std::vector<std::string> lines = {
      "# as the server's user on the standby, its server stopped and its data directory DIR empty",
      fmt::format("# the password of {} is in {} on this host; put it into ~/.pgpass there (0600):",
                  way.replication_role, way.password_path),
      fmt::format("#   {}:{}:*:{}:PASSWORD", way.host, way.port, way.replication_role),
  };
  if (way.certificate_path) {
    conninfo.set("sslmode", "verify-ca");
    conninfo.set("sslrootcert", "/PATH/primary.crt");
    lines.push_back(
        fmt::format("# copy {} of this host to /PATH/primary.crt there: it is the server's certificate",
                    *way.certificate_path));
  }
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
