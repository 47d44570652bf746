#include "setup/primary_look.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "base/check.h"
#include "env/network.h"
#include "env/process.h"
#include "pg/format/hba_file.h"
#include "setup/admin_session.h"
#include "setup/join_settings.h"
#include "setup/marker_table.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

template <typename Number>
Number number_of(std::string_view text) {
  Number number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

/// Without the prefix: the first address of a network stands for all of it.
std::string address_of(const std::string& cidr) {
  return cidr.substr(0, cidr.find('/'));
}

/// Entries of listen_addresses that only the name service can tell.
bool is_name(const std::string& entry) {
  return entry != "*" && entry != "localhost" && !pg::parse_standby_address(entry).has_value();
}

/// What would keep this process from putting another file of the same owner and group in place of this one.
Result<std::optional<std::string>> obstacle_to_replacing(env::FileSystem& files, const std::string& path) {
  const auto info = TRY(files.inspect(path));
  if (!info) return Error(ErrorCode::kIo, "\"" + path + "\" is gone");
  const std::string folder = env::parent_of(path);
  if (info->owner != env::effective_user())
    return std::optional<std::string>("\"" + path + "\" is another user's");
  if (access(folder.c_str(), W_OK) != 0)
    return std::optional<std::string>("\"" + folder + "\" is not writable");
  if (info->group == getegid()) return std::optional<std::string>();
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(getgroups(0, nullptr), 0)));
  const int count = getgroups(static_cast<int>(groups.size()), groups.data());
  groups.resize(static_cast<std::size_t>(std::max(count, 0)));
  if (std::find(groups.begin(), groups.end(), info->group) != groups.end())
    return std::optional<std::string>();
  return std::optional<std::string>("\"" + path + "\" has a group that this user is not in");
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

Result<void> PrimaryLooker::read_settings(PrimaryState& state) {
  const client::Rows rows = TRY(
      admin_.query("SELECT s.name, s.setting, s.source, s.context = 'postmaster' AS only_at_start, "
                   "CASE WHEN s.pending_restart THEN coalesce((SELECT f.setting FROM pg_file_settings f "
                   "WHERE lower(f.name) = s.name ORDER BY f.seqno DESC LIMIT 1), s.boot_val) "
                   "ELSE s.setting END AS configured "
                   "FROM pg_settings s WHERE s.name IN ('listen_addresses', 'wal_level', 'max_wal_senders', "
                   "'max_replication_slots', 'hot_standby', 'max_slot_wal_keep_size')",
                   wait_));
  for (int row = 0; row < rows.count(); ++row) {
    SettingState setting;
    setting.value = rows.text(row, 1);
    setting.source = rows.text(row, 2);
    setting.only_at_start = rows.text(row, 3) == "t";
    setting.configured = rows.text(row, 4);
    state.settings.emplace(rows.text(row, 0), std::move(setting));
  }
  state.port = number_of<std::uint16_t>(TRY(value("SHOW port")));
  state.tls = TRY(value("SHOW ssl")) == "on";
  if (state.server.version.has_allow_alter_system()) {
    state.alter_system_allowed = TRY(value("SHOW allow_alter_system")) == "on";
  }
  for (const std::string* list :
       {&state.settings["listen_addresses"].value, &state.settings["listen_addresses"].configured}) {
    for (const std::string& entry : split_listen_addresses(*list)) {
      if (!is_name(entry) || state.resolved_names.contains(entry)) continue;
      // A name that does not resolve admits nothing that we could tell.
      if (auto addresses = env::resolve_addresses(entry)) state.resolved_names[entry] = *std::move(addresses);
    }
  }
  return base::ok();
}

Result<void> PrimaryLooker::read_hba(PrimaryLook& look) {
  look.hba_path = TRY(files_.real_path(TRY(value("SHOW hba_file"))));
  PrimaryState& state = look.state;
  state.hba_text = TRY(env::read_whole_file(files_, look.hba_path, pg::kMaxHbaFileBytes));
  state.hba_obstacle = TRY(obstacle_to_replacing(files_, look.hba_path));
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
  state.foreign_wal_senders = number_of<int>(TRY(
      admin_.query_value("SELECT count(*) FROM pg_stat_replication WHERE usename <> $1", parameters, wait_)));
  return base::ok();
}

Result<bool> PrimaryLooker::has_marker_table() {
  auto options = TRY(cluster_.local_connection(std::string(kMonitorDatabase)));
  options.set("user", admin_.user());
  auto connection = TRY(client::Connection::open(options, wait_));
  return setup::has_marker_table(connection, wait_);
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
  if (database.owner == kMonitorRole) database.has_marker_table = TRY(has_marker_table());
  state.monitor_database = database;
  return base::ok();
}

Result<void> PrimaryLooker::read_slots(PrimaryState& state) {
  const std::string lost =
      state.server.version.has_max_slot_wal_keep_size() ? "coalesce(s.wal_status = 'lost', false)" : "false";
  const client::Rows rows = TRY(admin_.query(
      "SELECT s.slot_name, s.slot_type = 'physical', s.active, host(r.client_addr), " + lost +
          ", greatest(0, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn), 0))::bigint "
          "FROM pg_replication_slots s LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid",
      wait_));
  for (int row = 0; row < rows.count(); ++row) {
    SlotState slot;
    slot.is_physical = rows.text(row, 1) == "t";
    slot.is_active = rows.text(row, 2) == "t";
    if (!rows.is_null(row, 3)) slot.used_from = std::string(rows.text(row, 3));
    slot.is_lost = rows.text(row, 4) == "t";
    slot.retained_bytes = number_of<std::uint64_t>(rows.text(row, 5));
    state.slots.emplace(rows.text(row, 0), std::move(slot));
  }
  return base::ok();
}

Result<void> PrimaryLooker::read_host(PrimaryState& state, const PrimaryWish& wish) {
  state.routes = find_routes(wish, state.hba_block, state.port);
  state.wal_directory = TRY(files_.real_path(cluster_.data_directory() + "/pg_wal"));
  state.wal_disk_free_bytes = TRY(files_.space(state.wal_directory)).available_bytes;
  const std::string folder = env::parent_of(store_.path_of(state.system_id, kPrimaryPassfile));
  if (!TRY(files_.inspect(folder))) return base::ok();
  constexpr std::string_view kSuffix = ".token";
  for (const std::string& name : TRY(files_.list(folder))) {
    if (name.ends_with(kSuffix)) state.tokens.insert(name.substr(0, name.size() - kSuffix.size()));
  }
  return base::ok();
}

Result<PrimaryLook> PrimaryLooker::look(const PrimaryWish& wish, const std::optional<base::Secret>& given) {
  PrimaryState state;
  state.server = TRY(basics());
  TRY(refuse_unfit_server(state.server));
  TRY(check_data_directory());
  const auto system_id = pg::SystemId::parse(TRY(value("SELECT system_identifier FROM pg_control_system()")));
  if (!system_id) return Error(ErrorCode::kProtocol, "the server tells no system identifier");
  state.system_id = *system_id;
  PrimaryLook look{std::move(state), {}, {}, TRY(PasswordFile::read(store_, *system_id))};
  TRY(read_settings(look.state));
  TRY(read_hba(look));
  look.state.replication_role = replication_role_name(wish, look.state.hba_block);
  TRY(read_roles(look, given));
  TRY(read_database(look.state));
  TRY(read_slots(look.state));
  TRY(read_host(look.state, wish));
  return look;
}

std::vector<Route> find_routes(const PrimaryWish& wish, const std::optional<pg::HbaBlock>& block,
                               std::uint16_t port) {
  std::vector<std::string> addresses;
  for (const auto& standby : wish.standbys) addresses.push_back(standby.cidr);
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
