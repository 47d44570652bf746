// `primary setup --init`: a new cluster, whole or not there at all. It is made in DIR.standfast-init beside
// its place, with its certificate and its settings, and renamed into place at the end; what a killed run left
// there is removed by the next. A cluster of Debian's postgresql-common is made by pg_createcluster in its
// place (pg/server/debian_create.h), with the same result.
//
// Threading: one thread. Ownership: borrows its arguments. Fails with: kTargetRefused, kInUse for a taken
// port, kPermission, kDiskFull, kServerControl for initdb, kCancelled.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/server/debian.h"
#include "pg/server/installation.h"
#include "setup/primary_setup.h"

namespace standfast::setup {

enum class DataDirectoryKind : std::uint8_t { kMissing, kEmpty, kCluster, kOther };
base::Result<DataDirectoryKind> inspect_data_directory(env::FileSystem& files, const std::string& path);

struct NewCluster {
  std::string data_directory;
  std::string superuser;  ///< "" for the operating system user's name
  NewClusterOptions options;
  std::string listen_addresses;
  std::optional<server::DebianName> debian = {};  ///< to be made as this one
  std::vector<std::string> names = {};            ///< host names and addresses the certificate is made for
};
base::Result<void> make_new_cluster(env::FileSystem& files, const server::Installation& installation,
                                    const NewCluster& cluster, const env::Wait& wait);

/// This host's own name, "localhost" if it has none.
std::string host_name();

}  // namespace standfast::setup
