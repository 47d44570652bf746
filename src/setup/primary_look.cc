#include "setup/primary_look.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/number.h"
#include "env/network.h"
#include "pg/format/hba_file.h"
#include "pg/format/token.h"
#include "setup/admin_session.h"
#include "setup/agent_look.h"
#include "setup/marker_table.h"
#include "setup/store_passwords.h"
#include "setup/sync.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// Without the prefix: the first address of a network stands for all of it.
std::string address_of(const std::string& cidr) {
  return cidr.substr(0, cidr.find('/'));
}

/// Which lines of the file are in our own block, counted from 1; the block is rewritten, so what is wrong in
/// it does not matter.
std::pair<std::size_t, std::size_t> block_lines(const std::string& text) {
  constexpr std::string_view kBegin = "# BEGIN standfast";
  constexpr std::string_view kEnd = "# END standfast";
  const auto line_at = [&](std::size_t position) {
    return static_cast<std::size_t>(
               std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(position), '\n')) +
           1;
  };
  const std::size_t begin = text.find(kBegin);
  const std::size_t end = begin == std::string::npos ? begin : text.find(kEnd, begin);
  if (end == std::string::npos) return {0, 0};
  return {line_at(begin), line_at(end)};
}

}  // namespace

Result<ServerBasics> PrimaryLooker::basics() {
  ServerBasics basics;
  basics.version = admin_.server_version();
  basics.user = admin_.user();
  basics.is_superuser = admin_.parameter_status("is_superuser").value_or("off") == "on";
  basics.in_recovery = TRY(value("SELECT pg_is_in_recovery()")) == "t";
  return basics;
}

Result<void> PrimaryLooker::check_data_directory() {
  const std::string theirs = TRY(files_.real_path(TRY(value("SHOW data_directory"))));
  if (theirs == cluster_.data_directory()) return base::ok();
  return Error(ErrorCode::kPrecondition,
               fmt::format("the server that answers is that of \"{}\", not of \"{}\"", theirs,
                           cluster_.data_directory()),
               "Give the directory of the server that runs, or start the one of this directory.");
}

Result<void> PrimaryLooker::read_hba(PrimaryLook& look) {
  look.hba_path = TRY(files_.real_path(TRY(value("SHOW hba_file"))));
  PrimaryState& state = look.state;
  state.hba_text = TRY(env::read_whole_file(files_, look.hba_path, pg::kMaxHbaFileBytes));
  look.hba_access = TRY(access_to_file(files_, look.hba_path, cluster_.data_directory()));
  state.hba_obstacle = look.hba_access.obstacle;
  // Then an administrator puts the block there by himself, perhaps as it was shown to him.
  if (state.hba_obstacle) state.hba_text = pg::with_block_at_margin(state.hba_text);
  const auto [first, last] = block_lines(state.hba_text);
  for (HbaError& error : TRY(hba_file_errors(admin_, wait_))) {
    const bool is_ours = error.file.empty() && error.line_number >= first && error.line_number <= last;
    if (!is_ours) state.hba_errors.push_back(std::move(error));
  }
  // What the server itself cannot read is told in the server's words, by the plan.
  if (state.hba_errors.empty()) state.hba_block = TRY(pg::find_block(state.hba_text));
  return base::ok();
}

Result<std::optional<RoleState>> PrimaryLooker::read_role(const std::string& name, base::Secret& verifier) {
  const std::optional<std::string> parameters[] = {name};
  const client::Rows rows = TRY(
      admin_.query("SELECT rolsuper, rolcanlogin, rolreplication, coalesce(rolvaliduntil < now(), false), "
                   "pg_has_role(oid, 'pg_monitor', 'member'), rolpassword FROM pg_authid WHERE rolname = $1",
                   parameters, wait_));
  if (rows.count() == 0) return std::optional<RoleState>();
  RoleState role;
  role.is_superuser = rows.text(0, 0) == "t";
  role.can_login = rows.text(0, 1) == "t";
  role.has_replication = rows.text(0, 2) == "t";
  role.is_expired = rows.text(0, 3) == "t";
  role.reads_statistics = rows.text(0, 4) == "t";
  verifier = base::Secret(std::string(rows.text(0, 5)));
  return std::optional<RoleState>(role);
}

Result<void> PrimaryLooker::read_roles(PrimaryLook& look, const std::optional<base::Secret>& given) {
  PrimaryState& state = look.state;
  const auto read = [&](const std::string& name, const std::optional<base::Secret>& given_here,
                        std::optional<base::Secret>& password) -> Result<std::optional<RoleState>> {
    base::Secret verifier;
    auto role = TRY(read_role(name, verifier));
    const std::vector<base::Secret> candidates = look.password_file.candidates(name);
    if (!role) {
      // A run that was killed may have announced one.
      password = given_here;
      if (!password && !candidates.empty()) password = candidates.front();
      return role;
    }
    PasswordFinding finding = find_password_of(name, verifier, given_here, candidates);
    role->password = finding.state;
    role->is_stored = finding.password && look.password_file.holds(name, *finding.password);
    password = std::move(finding.password);
    return role;
  };
  state.replication = TRY(read(state.replication_role, given, look.passwords.replication));
  state.monitor = TRY(read(std::string(kMonitorRole), std::nullopt, look.passwords.monitor));
  const std::optional<std::string> parameters[] = {state.replication_role};
  state.foreign_wal_senders =
      base::parse_number<int>(
          TRY(admin_.query_value("SELECT count(*) FROM pg_stat_replication WHERE usename <> $1", parameters,
                                 wait_)))
          .value_or(0);
  return base::ok();
}

Result<void> PrimaryLooker::look_into_database(DatabaseState& database,
                                               std::vector<KnownWitness>& witnesses) {
  auto options = TRY(cluster_.local_connection(std::string(kMonitorDatabase)));
  options.set("user", admin_.user());
  auto connection = TRY(client::Connection::open(options, wait_));
  database.has_marker_table = TRY(has_marker_table(connection, wait_));
  witnesses = TRY(read_witnesses(connection, wait_));
  return base::ok();
}

Result<void> PrimaryLooker::read_database(PrimaryState& state) {
  const std::optional<std::string> parameters[] = {std::string(kMonitorDatabase)};
  const client::Rows rows = TRY(admin_.query(
      "SELECT pg_get_userbyid(datdba), has_database_privilege('public', oid, 'CONNECT') FROM pg_database "
      "WHERE datname = $1",
      parameters, wait_));
  if (rows.count() == 0) return base::ok();
  DatabaseState database;
  database.owner = rows.text(0, 0);
  database.public_may_connect = rows.text(0, 1) == "t";
  // Somebody else's database is not looked into.
  if (database.owner == kMonitorRole) TRY(look_into_database(database, state.witnesses));
  state.monitor_database = database;
  return base::ok();
}

Result<void> PrimaryLooker::read_slots(PrimaryState& state) {
  const std::string lost =
      state.server.version.has_max_slot_wal_keep_size() ? "coalesce(s.wal_status = 'lost', false)" : "false";
  const client::Rows rows = TRY(
      admin_.query("SELECT s.slot_name, s.slot_type = 'physical', s.active, host(r.client_addr), " + lost +
                       ", greatest(0, coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN "
                       "pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, s.restart_lsn), 0))::bigint "
                       "FROM pg_replication_slots s LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid",
                   wait_));
  for (int row = 0; row < rows.count(); ++row) {
    SlotState slot;
    slot.is_physical = rows.text(row, 1) == "t";
    slot.is_active = rows.text(row, 2) == "t";
    if (!rows.is_null(row, 3)) slot.used_from = std::string(rows.text(row, 3));
    slot.is_lost = rows.text(row, 4) == "t";
    slot.retained_bytes = base::parse_number<std::uint64_t>(rows.text(row, 5)).value_or(0);
    state.slots.emplace(rows.text(row, 0), std::move(slot));
  }
  return base::ok();
}

Result<void> PrimaryLooker::read_host(PrimaryState& state, const PrimaryWish& wish) {
  state.routes = find_routes(wish, state.hba_block, state.port);
  state.wal_directory = TRY(files_.real_path(cluster_.data_directory() + "/pg_wal"));
  state.wal_disk_free_bytes = TRY(files_.space(state.wal_directory)).available_bytes;
  return base::ok();
}

Result<void> PrimaryLooker::read_tokens(PrimaryLook& look) {
  PrimaryState& state = look.state;
  const std::string folder = env::parent_of(store_.path_of(state.system_id, kPrimaryPassfile));
  if (!TRY(files_.inspect(folder))) return base::ok();
  for (const std::string& name : TRY(files_.list(folder))) {
    if (!name.ends_with(kTokenSuffix)) continue;
    TokenState found;
    const auto text = TRY(store_.read(state.system_id, name));
    if (const auto token = pg::decode_token(text ? text->reveal() : "")) {
      found.is_readable = true;
      found.kind = token->kind;
      found.host = token->host;
      found.port = token->port;
      found.replication_role = token->replication_user;
      found.has_the_passwords =
          look.passwords.replication == token->replication_password &&
          (token->kind == pg::TokenKind::kWitness || look.passwords.monitor == token->monitor_password);
      found.certificate_sha256 = token->certificate_sha256;
      found.ca_der = token->ca_der;
      if (state.agent && token->agent) {
        found.agent = TRY(look_at_token_agent(store_, state.system_id, *token->agent, token->slot));
      }
    }
    state.tokens.emplace(name.substr(0, name.size() - kTokenSuffix.size()), std::move(found));
  }
  return base::ok();
}

Result<void> PrimaryLooker::read_certificate(PrimaryLook& look, const PrimaryWish& wish) {
  if (!look.state.tls) return base::ok();
  CertificateState certificate;
  certificate.file = TRY(value("SHOW ssl_cert_file"));
  certificate.file = in_data_directory(certificate.file);
  auto pem = read_through_links(certificate.file);
  // The server has it in memory; what it shows is looked at once it is asked.
  if (!pem) return base::ok();
  certificate.pem = *std::move(pem);
  certificate.ca_was_given = !wish.ca_pem.empty();
  const auto kept = TRY(store_.read(look.state.system_id, kPrimaryCertificate));
  look.trusted_pem = certificate.ca_was_given ? wish.ca_pem : kept ? kept->reveal() : "";
  const std::string context = "the server's certificate in \"" + certificate.file + "\"";
  auto leaf = client::read_leaf(certificate.pem);
  if (!leaf) return std::move(leaf).error().with_context(context);
  certificate.leaf = *std::move(leaf);
  // To a certificate that stands alone the server adds what ssl_ca_file has of its chain
  // (SSL_CTX_set_mode(3), SSL_MODE_NO_AUTO_CHAIN, which it does not set).
  if (certificate.leaf.is_alone) certificate.pem += TRY(client_ca_pem());
  auto verdict = client::verify_chain(certificate.pem, look.trusted_pem);
  if (!verdict) return std::move(verdict).error().with_context(context + ", or what is trusted beside it");
  certificate.verdict = *std::move(verdict);
  look.state.certificate = std::move(certificate);
  return base::ok();
}

Result<std::string> PrimaryLooker::client_ca_pem() {
  const std::string path = TRY(value("SHOW ssl_ca_file"));
  if (path.empty()) return std::string();
  return read_through_links(in_data_directory(path)).value_or("");
}

std::string PrimaryLooker::in_data_directory(const std::string& path) const {
  return path.starts_with('/') ? path : env::absolute_path(cluster_.data_directory() + "/" + path);
}

Result<std::string> PrimaryLooker::read_through_links(const std::string& path) {
  return env::read_whole_file(files_, TRY(files_.real_path(path)), client::kMaxCertificateFileBytes);
}

Result<PrimaryLook> PrimaryLooker::look(const PrimaryWish& wish, const std::optional<base::Secret>& given) {
  PrimaryState state;
  state.server = TRY(basics());
  TRY(refuse_unfit_server(state.server, wish.on_standby));
  TRY(check_data_directory());
  const auto system_id = pg::SystemId::parse(TRY(value("SELECT system_identifier FROM pg_control_system()")));
  if (!system_id) return Error(ErrorCode::kProtocol, "the server tells no system identifier");
  state.system_id = *system_id;
  TRY(store_.check_writable(state.system_id));
  PasswordFile password_file = TRY(PasswordFile::read(store_, *system_id));
  // Of a standby, or a primary that was one.
  password_file.also_try(TRY(passwords_in_store(files_, store_, *system_id)));
  PrimaryLook look{std::move(state), {}, {}, {}, std::move(password_file)};
  TRY(read_settings(look.state));
  TRY(read_hba(look));
  look.state.replication_role = replication_role_name(wish, look.state.hba_block);
  TRY(read_roles(look, given));
  TRY(read_database(look.state));
  look.state.remote_apply = TRY(read_remote_apply(admin_, wait_)).places;
  TRY(read_slots(look.state));
  TRY(read_host(look.state, wish));
  if (wish.agent) look.state.agent = TRY(look_at_agent(store_, *system_id, wait_));
  TRY(read_tokens(look));
  TRY(read_certificate(look, wish));
  return look;
}

std::vector<Route> find_routes(const PrimaryWish& wish, const std::optional<pg::HbaBlock>& block,
                               std::uint16_t port) {
  std::vector<std::string> addresses;
  for (const auto& standby : wish.standbys) addresses.push_back(standby.cidr);
  for (const auto& witness : wish.witnesses) addresses.push_back(witness.address.cidr);
  if (block) {
    for (const auto& member : block->members) addresses.push_back(member.address_cidr);
  }
  std::vector<Route> routes;
  for (const std::string& cidr : addresses) {
    Route route{cidr, std::nullopt};
    if (auto source = env::source_address_towards(address_of(cidr), port)) {
      route.source_address = *std::move(source);
    }
    routes.push_back(std::move(route));
  }
  return routes;
}

PrimaryState state_of_new_cluster(pg::Version version, const PrimaryWish& wish, std::uint16_t port,
                                  std::uint64_t disk_free_bytes) {
  PrimaryState state;
  state.server = {version, false, true, ""};
  state.port = port;
  state.tls = true;
  const auto set = [&](std::string_view name, std::string text, bool only_at_start) {
    state.settings.emplace(name, SettingState{text, text, only_at_start, "default"});
  };
  set("listen_addresses", wish.listen_addresses, true);
  set("wal_level", "replica", true);
  set("max_wal_senders", "10", true);
  set("max_replication_slots", "10", true);
  set("hot_standby", "on", true);
  if (version.has_max_slot_wal_keep_size()) set("max_slot_wal_keep_size", "-1", false);
  state.replication_role = replication_role_name(wish, std::nullopt);
  state.routes = find_routes(wish, std::nullopt, port);
  state.wal_directory = "pg_wal";
  state.wal_disk_free_bytes = disk_free_bytes;
  return state;
}

}  // namespace standfast::setup
