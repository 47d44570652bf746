// The systemd units that run PostgreSQL: Debian's postgresql@15-main.service, PGDG's postgresql-15.service,
// and the plain postgresql.service of other distributions.
//
// Threading: any thread. Fails: kServerControl with systemctl's own words, kPermission, kTimeout, kCancelled.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/server/root_helper.h"

namespace standfast::server {

/// Whether systemd is process 1 here.
bool systemd_runs();
/// The unit that runs this data directory; none where there is no systemd.
base::Result<std::optional<std::string>> find_unit(env::FileSystem& files, const std::string& data_directory,
                                                   int major, const env::Wait& wait);
/// Whether `unit` has the name of a PostgreSQL server's unit and runs this data directory. Both ends of a
/// RootHelper ask it, root before it does what it is asked to.
base::Result<bool> unit_runs_data_directory(env::FileSystem& files, const std::string& unit,
                                            const std::string& data_directory, const env::Wait& wait);
bool unit_is_active(const std::string& unit, const env::Wait& wait);
/// systemctl start|stop|restart UNIT; only for root.
base::Result<void> run_systemctl(UnitAction action, const std::string& unit, const env::Wait& wait);

// The parts, for tests.

/// The major in the name of a unit that may run a PostgreSQL server; 0 for "postgresql.service", which names
/// none. No value for every other name.
std::optional<int> major_of_unit(std::string_view unit);
/// PGDATA in what `systemctl show -p Environment` prints.
std::optional<std::string> data_directory_in_environment(std::string_view shown);

}  // namespace standfast::server
