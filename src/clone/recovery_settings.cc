#include "clone/recovery_settings.h"

#include <algorithm>
#include <array>

#include <unistd.h>

#include "pg/client/replication_connection.h"
#include "pg/client/secret_store.h"
#include "pg/format/conf_file.h"
#include "pg/format/passfile.h"

namespace standfast::clone {
namespace {

using base::Result;

constexpr auto kAlwaysWritten = std::to_array<std::string_view>({"host", "hostaddr", "port", "user"});
// What belongs to this one connection, or is written by its own rule.
constexpr auto kNeverWritten =
    std::to_array<std::string_view>({"replication", "dbname", "fallback_application_name", "application_name",
                                     "client_encoding", "passfile", "service", "password"});

bool is_one_of(std::string_view keyword, const auto& list) {
  return std::ranges::find(list, keyword) != list.end();
}

bool is_link_watch(const client::ResolvedOption& option) {
  const std::pair pair(option.keyword, option.value);
  return is_one_of(option.keyword, kAlwaysWritten)
             ? false
             : std::ranges::count(client::link_watch_parameters(), pair) > 0;
}

std::string as_file_name(std::string text) {
  for (char& c : text) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!plain) c = '_';
  }
  return text;
}

}  // namespace

std::string host_name() {
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) != 0) return "standby";
  return name;
}

pg::Conninfo primary_conninfo_from(const std::vector<client::ResolvedOption>& options,
                                   const StandbyIdentity& identity,
                                   const std::optional<std::string>& passfile) {
  pg::Conninfo conninfo;
  for (const client::ResolvedOption& option : options) {
    // What libpq's next version calls a secret is one, too: the list of those is ours.
    const bool is_left_out =
        is_one_of(option.keyword, kNeverWritten) || pg::is_secret_keyword(option.keyword);
    if (is_left_out || is_link_watch(option)) continue;
    if (option.value != option.compiled_default || is_one_of(option.keyword, kAlwaysWritten))
      conninfo.set(option.keyword, option.value);
  }
  if (passfile) conninfo.set("passfile", *passfile);
  conninfo.set("application_name", identity.application_name);
  return conninfo;
}

std::string conninfo_without_secrets(const client::Connection& connection) {
  const std::string passfile = connection.native_conninfo_value("passfile");
  return primary_conninfo_from(connection.resolved_options(), {.application_name = "standfast"},
                               passfile.empty() ? std::nullopt : std::optional(passfile))
      .to_string();
}

Result<std::optional<std::string>> settle_passfile(env::FileSystem& files,
                                                   const client::Connection& connection,
                                                   pg::SystemId system_id,
                                                   const std::string& application_name,
                                                   const std::string& target) {
  if (!connection.used_password()) return std::optional<std::string>();
  const base::Secret password(connection.native_conninfo_value("password"));
  if (password.empty()) return std::optional(connection.native_conninfo_value("passfile"));

  const client::SecretStore store = TRY(client::SecretStore::locate(files));
  TRY(store.refuse_inside(target));
  pg::PassfileEntry entry;
  entry.password = password;
  entry.user = connection.user();
  const std::string host = connection.host();
  // libpq looks a socket up under other names than its folder's; the file serves this one connection anyway.
  if (!host.empty() && host[0] != '/' && host[0] != '@') entry.host = host;
  entry.port = connection.port();
  const std::string name = as_file_name(application_name) + ".pgpass";
  TRY(store.write(system_id, name, base::Secret(TRY(pg::render_passfile_line(entry)).reveal() + "\n")));
  return std::optional(store.path_of(system_id, name));
}

Result<void> write_recovery_settings(env::FileSystem& files, const std::string& data_folder,
                                     const RecoverySettings& settings, const TreeModes& modes) {
  const std::string path = data_folder + "/postgresql.auto.conf";
  std::string text;
  if (TRY(files.inspect(path))) text = TRY(env::read_whole_file(files, path, pg::kMaxConfFileBytes));
  pg::ConfFile conf = TRY(pg::ConfFile::parse(text));
  conf.set("primary_conninfo", settings.primary_conninfo.to_string());
  if (settings.primary_slot_name) {
    conf.set("primary_slot_name", *settings.primary_slot_name);
  } else {
    // That of a source that was a standby once, or is one, is not this standby's.
    conf.remove("primary_slot_name");
  }
  TRY(env::write_file_durably(files, path, conf.to_text(), {.mode = modes.file()}));
  return env::write_file_durably(files, data_folder + "/standby.signal", "", {.mode = modes.file()});
}

}  // namespace standfast::clone
