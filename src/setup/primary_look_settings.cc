// The settings of a running server: what is in force, what will be after a start, and what cannot be changed.
#include <fmt/format.h>
#include <sys/stat.h>

#include "base/number.h"
#include "env/network.h"
#include "env/process.h"
#include "pg/format/hba_file.h"
#include "setup/join_settings.h"
#include "setup/primary_look.h"

namespace standfast::setup {
namespace {

using base::Result;

/// Entries of listen_addresses that only the name service can tell.
bool is_name(const std::string& entry) {
  return entry != "*" && entry != "localhost" && !pg::parse_standby_address(entry).has_value();
}

}  // namespace

Result<void> PrimaryLooker::read_settings(PrimaryState& state) {
  TRY(read_configuration_errors(state));
  // What the command line sets, it sets again at the next start, whatever the files say.
  const bool is_private = reach_ == ServerReach::kPrivate;
  const std::optional<std::string> parameters[] = {is_private ? "true" : "false"};
  const client::Rows rows = TRY(admin_.query(
      "SELECT s.name, s.setting, s.source, s.context = 'postmaster', "
      "CASE WHEN s.source = 'command line' AND NOT $1::boolean THEN s.setting "
      "WHEN s.source = 'command line' THEN coalesce(f.setting, s.boot_val) "
      "WHEN s.pending_restart THEN coalesce(f.setting, s.boot_val) "
      "WHEN s.context = 'sighup' THEN coalesce(f.setting, s.setting) ELSE s.setting END, "
      "f.sourcefile, f.sourceline "
      "FROM pg_settings s LEFT JOIN LATERAL (SELECT setting, sourcefile, sourceline FROM pg_file_settings "
      "WHERE lower(name) = s.name ORDER BY seqno DESC LIMIT 1) f ON true "
      "WHERE s.name IN ('listen_addresses', 'wal_level', 'max_wal_senders', 'max_replication_slots', "
      "'hot_standby', 'max_slot_wal_keep_size', 'synchronous_standby_names')",
      parameters, wait_));
  for (int row = 0; row < rows.count(); ++row) {
    SettingState setting;
    setting.value = rows.text(row, 1);
    setting.source = rows.text(row, 2);
    setting.only_at_start = rows.text(row, 3) == "t" && !is_private;
    setting.configured = rows.text(row, 4);
    if (is_private) setting.value = setting.configured;
    if (is_private && setting.source == "command line") setting.source = "configuration file";
    if (!rows.is_null(row, 5)) {
      setting.line = ConfigurationLine{std::string(rows.text(row, 5)),
                                       base::parse_number<int>(rows.text(row, 6)).value_or(0)};
    }
    state.settings.emplace(rows.text(row, 0), std::move(setting));
  }
  state.port = base::parse_number<std::uint16_t>(TRY(value("SHOW port"))).value_or(0);
  state.tls = TRY(value("SHOW ssl")) == "on";
  state.configuration_file = TRY(value("SHOW config_file"));
  state.alter_system_obstacle = TRY(obstacle_to_alter_system(state.server.version));
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

Result<void> PrimaryLooker::read_configuration_errors(PrimaryState& state) {
  // Reading the view also finds out, in this session, which settings wait for a restart; the view itself
  // calls such a line an error, which it is not (utils/misc/guc.c, set_config_option()).
  TRY(value("SELECT count(*) FROM pg_file_settings"));
  const client::Rows rows = TRY(admin_.query(
      "SELECT coalesce(f.sourcefile, ''), coalesce(f.sourceline, 0), "
      "coalesce(f.name || ': ', '') || f.error FROM pg_file_settings f "
      "LEFT JOIN pg_settings s ON s.name = lower(f.name) WHERE f.error IS NOT NULL AND NOT coalesce("
      "s.context = 'postmaster' AND (s.pending_restart OR s.source = 'command line'), false) "
      "ORDER BY f.seqno",
      wait_));
  for (int row = 0; row < rows.count(); ++row) {
    ConfigurationError error;
    error.line = {std::string(rows.text(row, 0)), base::parse_number<int>(rows.text(row, 1)).value_or(0)};
    error.message = rows.text(row, 2);
    state.configuration_errors.push_back(std::move(error));
  }
  return base::ok();
}

/// ALTER SYSTEM puts a new file of its own in the place of postgresql.auto.conf (utils/misc/guc.c). Whoever
/// made that file a link, a mount, or one that the server's user may not write, wants no such thing.
Result<std::optional<std::string>> PrimaryLooker::obstacle_to_alter_system(pg::Version version) {
  using Obstacle = std::optional<std::string>;
  if (version.has_allow_alter_system() && TRY(value("SHOW allow_alter_system")) != "on") {
    return Obstacle("this server does not allow ALTER SYSTEM (allow_alter_system)");
  }
  const std::string path = cluster_.data_directory() + "/postgresql.auto.conf";
  const auto info = TRY(files_.inspect(path));
  if (!info) return Obstacle();
  const auto obstacle = [&path](std::string_view what) {
    return Obstacle(fmt::format("\"{}\", which ALTER SYSTEM writes, {}", path, what));
  };
  if (info->kind == env::FileKind::kSymlink) return obstacle("is a symbolic link");
  if (TRY(is_mount_point(files_, path))) return obstacle("is a mount point");
  if (info->owner != env::effective_user()) return obstacle("belongs to another user");
  if ((info->mode & S_IWUSR) == 0) return obstacle("is not writable");
  return Obstacle();
}

}  // namespace standfast::setup
