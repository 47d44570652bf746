// What would fail after the copy, found before it: the facts of the primary (asked as the monitor role) and
// of this host, and the list of what does not fit. Releases, builds and collations are pairing.h's.
//
// Threading: one thread. The comparison is pure; look_at_primary() and look_at_host() only read.
// Follows: access/transam/xlogrecovery.c CheckRequiredParameterValues(), utils/init/miscinit.c
// ValidatePgVersion().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "clone/clone.h"
#include "clone/outside.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/client/connection.h"
#include "pg/server/installation.h"
#include "setup/join_settings.h"
#include "setup/pairing.h"

namespace standfast::setup {

struct Tablespace {
  std::string oid;
  std::string location;  ///< on the primary
};

struct PrimaryFacts : PairingSide {
  pg::SystemId system_id;
  std::string upstream;  ///< of a standby: "10.20.20.1 port 5432"; "" where it streams from nowhere
  SettingValues settings;
  std::vector<std::string> preload_libraries;
  std::vector<Tablespace> tablespaces;  ///< without pg_default and pg_global
  std::uint64_t data_bytes = 0;         ///< of what lies in the data directory itself
  std::uint16_t configured_port = 5432;
  bool port_is_by_alter_system = false;  ///< then join leaves it with the primary
  bool slot_exists = false;
  bool slot_is_active = false;
  bool slot_is_lost = false;  ///< max_slot_wal_keep_size took WAL from it; it can never be used again
};

base::Result<PrimaryFacts> look_at_primary(client::Connection& monitor, const std::string& slot,
                                           const env::Wait& wait);

struct HostFacts : PairingSide {
  std::vector<std::string> missing_libraries;
  /// Why folders of tablespaces, after mapping, cannot take their copies.
  std::vector<base::Error> unfit_tablespaces;
  /// Not known while what a killed run left still takes its part; the clone removes that first, and asks
  /// then.
  std::optional<std::uint64_t> available_bytes;
  std::string disk_of;  ///< the folder whose disk was asked
  std::optional<std::uint16_t> taken_port;
};

struct HostQuestion {
  std::string target;
  std::string made_in;             ///< the folder that the copy is made in
  clone::OldLinks old_links = {};  ///< of a data directory that is to be replaced
  std::vector<std::pair<std::string, std::string>> tablespace_mappings;  ///< from, to
  std::uint16_t port = 5432;           ///< 0: not known yet, and chosen so that it is free
  bool port_is_this_clusters = false;  ///< a server of the target itself holds it and will be stopped
};

base::Result<HostFacts> look_at_host(env::FileSystem& files, const server::Installation& installation,
                                     const PrimaryFacts& primary, const HostQuestion& question,
                                     const env::Wait& wait);

/// Why no standby can use that slot, if that is so.
std::optional<base::Error> slot_error(const PrimaryFacts& primary, const std::string& slot);

struct JoinQuestion {
  pg::SystemId expected;
  std::string slot;
  clone::FromStandby from_standby = clone::FromStandby::kNotSaid;
};
/// Everything that stands in the way, each with its hint; empty when the copy may begin.
std::vector<base::Error> what_does_not_fit(const PrimaryFacts& primary, const HostFacts& host,
                                           const JoinQuestion& question);

}  // namespace standfast::setup
