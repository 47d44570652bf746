// Clusters as Debian's postgresql-common keeps them: a version and a name, the configuration in
// /etc/postgresql/N/NAME, and the data directory wherever postgresql.conf or a file it includes says.
//
// Threading: pure lookups, any thread. Ownership: values. Nothing is changed here; debian_create.h does.
// Fails: what cannot be read or understood is passed over where a cluster is looked for, and said where one
// is asked for: kIo, kPermission, kProtocol, kPrecondition.
// Follows: postgresql-common's PgCommon.pm cluster_data_directory(), pg_lsclusters(1), pg_createcluster(1).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"

namespace standfast::server {

/// "15/main".
struct DebianName {
  int major = 0;
  std::string name;

  std::string to_string() const;
  bool operator==(const DebianName&) const = default;
};
/// From "15/main" or "15-main"; no value for what postgresql-common would not take.
std::optional<DebianName> parse_debian_name(std::string_view text);

struct DebianCluster {
  int major = 0;
  std::string name;
  std::string configuration_directory;  ///< /etc/postgresql/15/main

  DebianName id() const { return {major, name}; }
  std::string unit() const;      ///< postgresql@15-main.service
  std::string log_file() const;  ///< /var/log/postgresql/postgresql-15-main.log
};

/// Whether Debian's programs start it when the host starts.
enum class DebianStart { kAuto, kManual, kDisabled };

/// Where to look; a test gives its own.
struct DebianPlaces {
  std::string configuration_root = "/etc/postgresql";
  std::string common_directory = "/etc/postgresql-common";
  std::string data_root = "/var/lib/postgresql";
  std::string programs = "/usr/bin";
  std::string server_programs = "/usr/lib/postgresql";
};

/// The Debian cluster whose configuration names this data directory, which need not exist.
base::Result<std::optional<DebianCluster>> find_debian_cluster(env::FileSystem& files,
                                                               const std::string& data_directory, int major,
                                                               const DebianPlaces& places = {});
/// The cluster of that name, if it is registered: it has a postgresql.conf.
std::optional<DebianCluster> registered_debian_cluster(env::FileSystem& files, const DebianName& name,
                                                       const DebianPlaces& places = {});
/// All of them, by version and name.
std::vector<DebianCluster> list_debian_clusters(env::FileSystem& files, const DebianPlaces& places = {});
/// The data directory that a folder of configuration files stands for.
base::Result<std::string> data_directory_of_configuration(env::FileSystem& files, const std::string& folder);
DebianStart start_of_debian_cluster(env::FileSystem& files, const DebianCluster& cluster);

/// Whether pg_createcluster is on this host.
bool has_postgresql_common(const DebianPlaces& places = {});
/// Majors whose server Debian's packages have put on this host, the oldest first.
std::vector<int> debian_majors(env::FileSystem& files, const DebianPlaces& places = {});
/// Where pg_createcluster puts a new cluster: /var/lib/postgresql/15/main, or what createcluster.conf says.
std::string debian_default_place(env::FileSystem& files, const DebianName& name,
                                 const DebianPlaces& places = {});
/// The cluster whose default place this directory is.
std::optional<DebianName> debian_name_of_place(env::FileSystem& files, const std::string& data_directory,
                                               const DebianPlaces& places = {});

/// The path with the links resolved of as much of it as exists.
std::string resolved_as_far_as_it_exists(env::FileSystem& files, const std::string& path);

}  // namespace standfast::server
