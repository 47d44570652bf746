#include "setup/sync_facts.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace standfast::setup {
namespace {

using base::Result;

/// As the server takes them for a setting (utils/misc/guc_tables.c, synchronous_commit_options).
constexpr auto kWaitsForNobody = std::to_array<std::string_view>({"off", "false", "no", "0", "local"});

void note(RemoteApply& found, const std::string& value, const std::string& where) {
  if (value == "remote_apply") found.places.push_back(where);
  const bool is_weak = value == "remote_write" || std::find(kWaitsForNobody.begin(), kWaitsForNobody.end(),
                                                            value) != kWaitsForNobody.end();
  if (is_weak) found.weaker.push_back(fmt::format("{} for {}", value, where));
}

}  // namespace

Result<SyncFacts> read_sync_facts(client::Connection& connection, const env::Wait& wait) {
  const ServerFacts server = TRY(read_server_facts(connection, wait));
  SyncFacts facts;
  facts.is_in_recovery = server.is_in_recovery;
  facts.head = server.head;
  facts.senders = server.senders;
  const auto settings = TRY(connection.query(
      "SELECT name, setting, boot_val, source, coalesce(sourcefile, '') AS sourcefile FROM pg_settings "
      "WHERE name IN ('synchronous_standby_names', 'synchronous_commit', 'allow_alter_system')",
      wait));
  for (int row = 0; row < settings.count(); ++row) {
    const std::string name = text_of(settings, row, "name");
    const std::string value = text_of(settings, row, "setting");
    if (name == "synchronous_standby_names") {
      facts.names = value;
      facts.source = text_of(settings, row, "source");
      facts.source_file = text_of(settings, row, "sourcefile");
    }
    if (name == "allow_alter_system") facts.may_alter_system = value == "on";
  }
  RemoteApply remote_apply = TRY(read_remote_apply(connection, wait));
  facts.synchronous_commit = std::move(remote_apply.of_the_server);
  facts.remote_apply = std::move(remote_apply.places);
  facts.weaker = std::move(remote_apply.weaker);
  return facts;
}

Result<RemoteApply> read_remote_apply(client::Connection& connection, const env::Wait& wait) {
  RemoteApply found;
  // Our own session sets it, so the files are asked; a role without the right to see them leaves it open.
  const auto from_files = connection.query(
      "SELECT setting FROM pg_file_settings WHERE name = 'synchronous_commit' AND applied ORDER BY seqno "
      "DESC LIMIT 1",
      wait);
  if (from_files && from_files->count() == 1) found.of_the_server = text_of(*from_files, 0, "setting");
  if (from_files && from_files->count() == 0) found.of_the_server = "on";
  note(found, found.of_the_server, "the server");
  const auto rows = TRY(connection.query(
      "SELECT coalesce(d.datname, '') AS database, coalesce(r.rolname, '') AS role, "
      "split_part(setting, '=', 2) AS value FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS "
      "setting "
      "LEFT JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole "
      "WHERE setting LIKE 'synchronous_commit=%' ORDER BY 1, 2",
      wait));
  for (int row = 0; row < rows.count(); ++row) {
    const std::string database = text_of(rows, row, "database");
    const std::string role = text_of(rows, row, "role");
    std::string where = role.empty() ? "" : fmt::format("role \"{}\"", role);
    if (!database.empty()) where += fmt::format("{}database \"{}\"", where.empty() ? "" : " in ", database);
    note(found, text_of(rows, row, "value"), where);
  }
  return found;
}

bool equal_names(std::string_view a, std::string_view b) {
  return pg::SyncStandbyNames{.names = {std::string(a)}}.names_it(b);
}

std::size_t streaming_of(const pg::SyncStandbyNames& list, const std::vector<WalSender>& senders) {
  const auto counts = [&](const WalSender& sender) {
    const bool is_listed = list.has_wildcard() || list.names_it(sender.application_name);
    return is_listed && sender.state == "streaming" && sender.flush;
  };
  return static_cast<std::size_t>(std::count_if(senders.begin(), senders.end(), counts));
}

}  // namespace standfast::setup
