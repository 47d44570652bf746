// A server that is started for a moment on a data directory whose server stands still, so that it can be
// asked and changed, and that nobody else reaches: no TCP, and one socket in a folder of its own (0700).
//
// Threading: one thread at a time. Ownership: borrows the FileSystem; owns the server it started or took over
// until stop(), which the destructor does if nobody else did.
// Invariants: how the server starts next time is as it was: nothing is written into its configuration, and
// postmaster.opts, which `pg_ctl restart` reads, is put back. What a killed run left (its socket folder is
// known by its name) is taken over by the next. Stopping is bounded in time and not ended by Ctrl-C. Fails
// with: kPrecondition for a cluster that is to be recovered first, kServerControl, kTimeout, kCancelled and
// what explain_start_failure() tells. Follows: bin/pg_ctl/pg_ctl.c (options, postmaster.opts).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/server/cluster.h"
#include "pg/server/installation.h"

namespace standfast::server {

/// Short, because the path of a socket may not be long, and not in the data directory, which is copied.
inline constexpr std::string_view kPrivateFolderPrefix = "/tmp/standfast-private-";

class PrivateServer {
 public:
  static base::Result<PrivateServer> start(env::FileSystem& files, const Cluster& cluster,
                                           const Installation& installation, const env::Wait& wait);
  /// The one that a killed run left running, once it takes connections; none when there is none. The caller
  /// keeps other runs out.
  static base::Result<std::optional<PrivateServer>> take_over(env::FileSystem& files, const Cluster& cluster,
                                                              const Installation& installation,
                                                              const env::Wait& wait);
  PrivateServer(PrivateServer&& other) noexcept
      : files_(other.files_),
        cluster_(std::move(other.cluster_)),
        installation_(std::move(other.installation_)),
        folder_(std::exchange(other.folder_, "")) {}
  PrivateServer(const PrivateServer&) = delete;
  PrivateServer& operator=(const PrivateServer&) = delete;
  PrivateServer& operator=(PrivateServer&&) = delete;
  ~PrivateServer();

  /// Back when its process is gone and all is as before. Once is enough.
  base::Result<void> stop();

 private:
  PrivateServer(env::FileSystem& files, Cluster cluster, Installation installation, std::string folder)
      : files_(&files),
        cluster_(std::move(cluster)),
        installation_(std::move(installation)),
        folder_(std::move(folder)) {}

  base::Result<void> keep_options();
  base::Result<void> put_options_back();
  base::Result<void> launch(const env::Wait& wait);
  base::Result<void> wait_until_ready(const env::Wait& wait) const;
  base::Result<bool> is_running(const env::Wait& wait) const;
  base::Result<void> remove_folder();
  std::string options_path() const { return cluster_.data_directory() + "/postmaster.opts"; }
  std::string kept_options_path() const { return folder_ + "/postmaster.opts"; }
  std::string log_path() const { return folder_ + "/log"; }

  env::FileSystem* files_;
  Cluster cluster_;
  Installation installation_;
  std::string folder_;  ///< "" once stopped
};

/// The server that runs, once it has written where its socket is, which it does some time after its process
/// id: before that nobody can say whether it is a private one. Bounded; what has no socket by then has none.
base::Result<std::optional<PostmasterPid>> settled_postmaster(const Cluster& cluster, const env::Wait& wait);
/// Whether this running server is one that only a run of Standfast reaches.
bool is_private(env::FileSystem& files, const PostmasterPid& postmaster);

// The parts, for tests.

/// What is given to `postgres` beside the data directory, as one text for the shell of pg_ctl -o.
std::string private_server_options(const std::string& folder, const std::string& configuration_file);
/// The private folder that a line of postmaster.opts names; none if it is of an ordinary start.
std::optional<std::string> private_folder_in(std::string_view postmaster_options);

}  // namespace standfast::server
