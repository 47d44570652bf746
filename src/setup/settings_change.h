// Settings changed by ALTER SYSTEM, and put back if the server does not start with them.
//
// Threading: one thread. Ownership: borrows its arguments. Fails with: kSql, kIo. Whether what was set is in
// force is told by looking and planning again: a plan that still wants to change a setting says it is not.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/client/connection.h"
#include "setup/primary_plan.h"

namespace standfast::setup {

base::Result<void> alter_system(client::Connection& admin, std::span<const SettingChange> changes,
                                const env::Wait& wait);

/// What is in force of the settings that wait for a start of the server, whoever changed them.
struct SettingInForce {
  std::string name;
  std::string value;  ///< in the setting's own unit
};
base::Result<std::vector<SettingInForce>> settings_waiting_for_restart(client::Connection& admin,
                                                                       const env::Wait& wait);

/// postgresql.auto.conf as it was, for the case that the server does not come up with what was changed.
class AutoConfBackup {
 public:
  static base::Result<AutoConfBackup> take(env::FileSystem& files, const std::string& data_directory);
  base::Result<void> put_back() const;
  /// As it was, and these besides: settings that somebody else changed, as the server ran with them.
  base::Result<void> put_back_with(std::span<const SettingInForce> settings) const;

 private:
  base::Result<void> write(const std::string& text) const;
  AutoConfBackup(env::FileSystem& files, std::string path, std::string text, env::FileInfo info)
      : files_(&files), path_(std::move(path)), text_(std::move(text)), info_(info) {}

  env::FileSystem* files_;
  std::string path_;
  std::string text_;
  env::FileInfo info_;
};

}  // namespace standfast::setup
