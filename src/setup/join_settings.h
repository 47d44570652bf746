// What a copy of the primary's postgresql.auto.conf must lose and gain to be a standby's.
//
// Pure functions on values. ALTER SYSTEM on the primary writes there what describes that one host: its
// addresses, its port, whom it waits for, where it archives. A base backup brings all of it along.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pg/format/conf_file.h"

namespace standfast::setup {

/// Settings that a standby must not have lower than its primary (access/transam/xlogrecovery.c,
/// CheckRequiredParameterValues): 12 and 13 do not start, 14 and later pause replay.
inline constexpr std::string_view kNotBelowPrimary[] = {"max_connections", "max_worker_processes",
                                                        "max_wal_senders", "max_prepared_transactions",
                                                        "max_locks_per_transaction"};

using SettingValues = std::map<std::string, std::int64_t, std::less<>>;

/// Whether this setting in postgresql.auto.conf belongs to the host it was set on, and not to its standby.
bool belongs_to_the_primary(std::string_view name);

/// Takes such settings out; gives their names, in the order of the file, each once.
std::vector<std::string> take_out_what_belongs_to_the_primary(pg::ConfFile& conf);

struct TooLow {
  std::string name;
  std::int64_t standby = 0;
  std::int64_t primary = 0;
};
/// Of kNotBelowPrimary, those that both sides tell and that are lower on the standby.
std::vector<TooLow> settings_below_primary(const SettingValues& standby, const SettingValues& primary);

/// Names in shared_preload_libraries, as PostgreSQL splits the list (utils/adt/varlena.c
/// SplitDirectoriesString).
std::vector<std::string> split_preload_libraries(std::string_view value);

/// Hosts in listen_addresses.
std::vector<std::string> split_listen_addresses(std::string_view value);

}  // namespace standfast::setup
