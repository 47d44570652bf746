// Where a new cluster goes: the folder that is named, or the one that the packages of this host would take.
// Tells also whether it is one of Debian's, so that pg_createcluster makes it.
//
// Looks only. Threading: any thread. Ownership: values. Fails: kUsage when the packages of this host have no
// place of their own, or have several, or pg_createcluster would not use the programs that are named;
// kPrecondition for a cluster of Debian's on a host without its programs. Follows: pg_createcluster(1);
// PGDG's postgresql-N.service (PGDATA=/var/lib/pgsql/N/data).
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "env/file_system.h"
#include "pg/server/debian.h"

namespace standfast::server {

struct NewPlace {
  std::string data_directory;
  std::optional<DebianName> debian = {};
};

struct NewPlaceQuery {
  std::string data_directory = {};         ///< -D; "" when it is not given
  std::optional<DebianName> cluster = {};  ///< --cluster
  /// --pg-bin. pg_createcluster has the programs of Debian's packages and no others.
  std::optional<std::string> bin_directory = {};
};

/// A standby must be of its primary's major, so for one of several majors somebody has to say which.
enum class OnSeveralMajors { kNewest, kRefuse };

struct NewPlaceSources {
  DebianPlaces debian = {};
  std::string pgdg_parent = "/usr";
  std::string pgdg_root = "/var/lib/pgsql";
};

base::Result<NewPlace> find_new_place(env::FileSystem& files, const NewPlaceQuery& query,
                                      OnSeveralMajors on_several, const NewPlaceSources& sources = {});

}  // namespace standfast::server
