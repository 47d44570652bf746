// The clusters of this host, found from a port or from nothing: Debian's (/etc/postgresql/N/NAME), PGDG's
// (/var/lib/pgsql/N/data), those that a systemd unit names as its PGDATA, and those whose server runs.
//
// Whoever runs a program that calls itself postgres decides where it works, so root does not believe it: such
// a cluster is told of, not looked into, and not taken unless it is named.
//
// Looks only, and starts no program. Threading: any thread. Ownership: values.
// Invariant: each data directory is found once, whatever leads to it; what this user may not look into is
// there with what is known of it. Servers of other network namespaces (containers) are not this host's.
// Fails: choose_cluster() with kUsage, and the clusters there are in the hint; kPrecondition when there is
// none. find_clusters() does not fail: what cannot be read is passed over.
// Follows: pg_lsclusters(1); PGDG's postgresql-N.service; utils/pidfile.h.
#pragma once

#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "env/file_system.h"
#include "env/process.h"
#include "pg/server/debian.h"
#include "pg/server/systemd.h"

namespace standfast::server {

enum class RunState { kUnknown, kStopped, kRunning };

struct FoundCluster {
  std::string data_directory;  ///< links resolved
  int major = 0;
  std::optional<DebianName> debian = {};
  std::string unit = {};  ///< of systemd, that names this data directory
  int port = 0;           ///< the running server's, else the configured one
  RunState state = RunState::kUnknown;
  std::optional<uid_t> owner = {};
  /// Nothing but a process tells of it, and whoever looks does not believe processes: the rest is not known.
  bool is_claimed = false;

  /// "PostgreSQL 15 (Debian's 15/main) in /var/lib/postgresql/15/main, port 5432, running".
  std::string describe() const;
};

enum class ProcessClaims { kBelieved, kOnlyTold };

/// Where to look; a test gives its own.
struct SearchPlaces {
  DebianPlaces debian = {};
  std::string pgdg_root = "/var/lib/pgsql";
  std::vector<std::string> unit_folders = {std::begin(kUnitFolders), std::end(kUnitFolders)};
  std::string proc = "/proc";
  ProcessClaims claims = env::effective_user() == 0 ? ProcessClaims::kOnlyTold : ProcessClaims::kBelieved;
};

std::vector<FoundCluster> find_clusters(env::FileSystem& files, const SearchPlaces& places = {});

/// Those that may be taken without being named.
std::vector<FoundCluster> without_claims(std::vector<FoundCluster> found);

/// The only one, or the only one with that port; none that is only claimed.
base::Result<FoundCluster> choose_cluster(const std::vector<FoundCluster>& found,
                                          std::optional<std::uint16_t> port);

/// What -D names: a data directory as it is; a folder of configuration files stands for its data directory.
base::Result<std::string> data_directory_of(env::FileSystem& files, const std::string& named);

// The parts, for tests.

/// PGDATA in the text of a unit file or of a drop-in; the last one, as with systemd. None in a template,
/// whose value has a "%".
std::optional<std::string> data_directory_in_unit(std::string_view text);

}  // namespace standfast::server
