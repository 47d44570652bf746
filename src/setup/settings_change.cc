#include "setup/settings_change.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pg/format/conf_file.h"
#include "pg/format/sql_text.h"

namespace standfast::setup {
namespace {

using base::Result;

}  // namespace

Result<void> alter_system(client::Connection& admin, std::span<const SettingChange> changes,
                          const env::Wait& wait) {
  for (const SettingChange& change : changes) {
    auto done = admin.execute(
        fmt::format("ALTER SYSTEM SET {} = {}", change.name, pg::quote_literal(change.to)), wait);
    if (!done) return std::move(done).error().with_context("could not set " + change.name);
  }
  return base::ok();
}

Result<std::vector<SettingInForce>> settings_waiting_for_restart(client::Connection& admin,
                                                                 const env::Wait& wait) {
  const client::Rows rows =
      TRY(admin.query("SELECT name, setting FROM pg_settings WHERE pending_restart ORDER BY name", wait));
  std::vector<SettingInForce> settings;
  for (int row = 0; row < rows.count(); ++row) {
    settings.push_back({std::string(rows.text(row, 0)), std::string(rows.text(row, 1))});
  }
  return settings;
}

Result<AutoConfBackup> AutoConfBackup::take(env::FileSystem& files, const std::string& data_directory) {
  std::string path = data_directory + "/postgresql.auto.conf";
  // It may be a link; what is behind it is put back then.
  if (TRY(files.inspect_following(path))) path = TRY(files.real_path(path));
  const auto info = TRY(files.inspect(path));
  if (!info) {
    // A server does without it; an empty one is as good.
    env::FileInfo own;
    own.owner = geteuid();
    own.group = getegid();
    own.mode = S_IRUSR | S_IWUSR;
    return AutoConfBackup(files, std::move(path), "", own);
  }
  std::string text = TRY(env::read_whole_file(files, path, pg::kMaxConfFileBytes));
  return AutoConfBackup(files, std::move(path), std::move(text), *info);
}

Result<void> AutoConfBackup::put_back() const {
  return write(text_);
}

Result<void> AutoConfBackup::put_back_with(std::span<const SettingInForce> settings) const {
  auto conf = TRY(pg::ConfFile::parse(text_));
  for (const SettingInForce& setting : settings) conf.set(setting.name, setting.value);
  return write(conf.to_text());
}

Result<void> AutoConfBackup::write(const std::string& text) const {
  const auto now = env::read_whole_file(*files_, path_, pg::kMaxConfFileBytes);
  if (now && *now == text) return base::ok();
  return env::write_file_durably(*files_, path_, text,
                                 {.mode = info_.mode, .owner = info_.owner, .group = info_.group});
}

}  // namespace standfast::setup
