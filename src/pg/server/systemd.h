// The systemd units that run PostgreSQL: Debian's postgresql@15-main.service, PGDG's postgresql-15.service,
// and the plain postgresql.service of other distributions. Debian's own postgresql.service is an umbrella
// over its clusters and runs no server.
//
// What is asked of systemctl is a value (systemctl_arguments()), and what it answers is parsed as one
// (parse_unit_state()), so that both can be tested where systemd is not process 1.
//
// Threading: any thread. Fails: kServerControl with systemctl's own words, kPermission, kTimeout, kCancelled.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/server/root_helper.h"

namespace standfast::server {

/// Where unit files are; the first that has a unit of a name wins, as with systemd.
inline constexpr std::string_view kUnitFolders[] = {"/etc/systemd/system", "/run/systemd/system",
                                                    "/usr/local/lib/systemd/system",
                                                    "/usr/lib/systemd/system", "/lib/systemd/system"};
/// Names of units that may run a PostgreSQL server, from the folders of unit files: also
/// postgresql-15-second.service, as PGDG's documentation has it for a second cluster. Templates are left out.
std::vector<std::string> list_postgres_units(env::FileSystem& files, const std::vector<std::string>& folders);

inline constexpr base::Seconds kSystemctlQuestionTimeout{10};

/// Whether systemd is process 1 here.
bool systemd_runs();
/// Whether there is a file of that unit.
bool is_unit_installed(env::FileSystem& files, std::string_view unit);
/// The unit that runs this data directory; none where there is no systemd.
base::Result<std::optional<std::string>> find_unit(env::FileSystem& files, const std::string& data_directory,
                                                   int major, const env::Wait& wait);
/// Whether `unit` has the name of a PostgreSQL server's unit and runs this data directory. Both ends of a
/// RootHelper ask it, root before it does what it is asked to: with the `owner` that the directory which the
/// unit itself names must have, for what lies at a path in his own folders is his to exchange.
base::Result<bool> unit_runs_data_directory(env::FileSystem& files, const std::string& unit,
                                            const std::string& data_directory, const env::Wait& wait,
                                            std::optional<uid_t> owner = {});

/// What `systemctl show` says of a unit.
struct UnitState {
  std::string type;        ///< "notify", "forking", "oneshot"
  std::string active;      ///< "active", "activating", "inactive", "failed"
  std::string file_state;  ///< "enabled", "disabled", "static"; "" for a unit that is not there
  std::string result;      ///< "success", or why it failed: "timeout"
  std::optional<base::Milliseconds> start_timeout;  ///< none: a start may take for ever

  /// systemd has processes of it, or is about to: a server that still recovers is "activating".
  bool is_in_charge() const;
  bool comes_back_after_reboot() const;
};
base::Result<UnitState> read_unit_state(const std::string& unit, const env::Wait& wait);
/// False also where systemctl does not answer.
bool unit_is_in_charge(const std::string& unit, const env::Wait& wait);
/// systemctl start|stop|restart UNIT; only for root.
base::Result<void> run_systemctl(UnitAction action, const std::string& unit, const env::Wait& wait);
/// systemctl enable UNIT; only for root.
base::Result<void> enable_unit(const std::string& unit, const env::Wait& wait);

// The parts, for tests.

std::vector<std::string> systemctl_arguments(UnitAction action, const std::string& unit);
UnitState parse_unit_state(std::string_view shown);
/// "1min 30s", as systemd prints spans of time; none for "infinity" and for what is not understood.
std::optional<base::Milliseconds> parse_time_span(std::string_view text);

/// The major in the name of a unit that may run a PostgreSQL server; 0 for "postgresql.service", which names
/// none. No value for every other name.
std::optional<int> major_of_unit(std::string_view unit);
/// PGDATA in what `systemctl show -p Environment` prints.
std::optional<std::string> data_directory_in_environment(std::string_view shown);

}  // namespace standfast::server
