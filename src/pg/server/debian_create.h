// pg_createcluster and pg_dropcluster, so that Debian's own programs know a cluster that Standfast makes: its
// start.conf, its configuration in /etc, pg_lsclusters, systemd.
//
// A killed pg_createcluster leaves half a cluster behind. A file beside the data directory, there from before
// the first step to after the last, says that what lies there was being made here; the next run takes it
// back. It believes that file only as long as no server has ever run on the directory (postmaster.opts).
//
// Threading: one thread, and one run for a place at a time: the caller sees to that. Ownership: borrows its
// arguments. Runs as whoever will own the cluster: Debian lets
// "postgres" write to /etc/postgresql and /var/lib/postgresql.
// Fails: kPermission for a user who may not, kInUse while an earlier run's programs still work there,
// kPrecondition for a cluster of that name that is there already, kServerControl with the program's own
// words, kTimeout, kCancelled. A cluster that was begun is taken back. Follows: pg_createcluster(1),
// pg_dropcluster(1).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/server/debian.h"

namespace standfast::server {

struct DebianCreation {
  DebianName name;
  std::string data_directory;
  std::optional<std::uint16_t> port = {};            ///< else the first that no cluster of Debian's has
  std::optional<std::string> socket_directory = {};  ///< else Debian's
  std::string superuser = {};                        ///< "" for the owner's name
  std::string locale = {};                           ///< "" for a C locale
};

/// What an administrator would type.
std::vector<std::string> create_arguments(const DebianCreation& creation, const DebianPlaces& places = {});

/// A whole cluster: `finish` does what is left to do on it before it counts as made.
base::Result<void> create_debian_cluster(env::FileSystem& files, const DebianCreation& creation,
                                         const std::function<base::Result<void>()>& finish,
                                         const env::Wait& wait, const DebianPlaces& places = {});

/// Its name, configuration and place in Debian's lists, without a data directory: the one it was made with is
/// removed again, for a copy to take its place.
base::Result<void> register_debian_cluster(env::FileSystem& files, const DebianCreation& creation,
                                           const env::Wait& wait, const DebianPlaces& places = {});
/// Takes a cluster without a data directory, or with an empty one, off Debian's lists.
base::Result<void> unregister_debian_cluster(env::FileSystem& files, const DebianName& name,
                                             const std::string& data_directory, const env::Wait& wait,
                                             const DebianPlaces& places = {});

/// Whether a killed run left a cluster there that is not whole.
base::Result<bool> is_half_made(env::FileSystem& files, const std::string& data_directory);
/// Takes that back: the directory, the configuration in /etc, and the name on Debian's lists.
base::Result<void> take_back_half_made(env::FileSystem& files, const std::string& data_directory,
                                       const env::Wait& wait, const DebianPlaces& places = {});

}  // namespace standfast::server
