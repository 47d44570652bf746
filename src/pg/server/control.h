// Starts, stops, restarts and promotes the server of a data directory, through whatever runs it: Debian's
// pg_ctlcluster, a systemd unit, or pg_ctl. Makes a new cluster with initdb.
//
// Threading: one thread at a time. Ownership: values, a borrowed FileSystem and RootHelper that outlive it.
// Invariant: start() and restart() come back with success only when the server is up; stop() only when its
// process is gone. Both are idempotent. No server is started with PG* variables of whoever runs this: they
// would become its settings and those of its walreceiver.
// Fails: kServerControl with the last lines of the server's log in the hint, kInUse when the port is taken,
// kPrecondition, kPermission, kTimeout (the server may still come up), kCancelled.
// Follows: bin/pg_ctl/pg_ctl.c (what "started" means), pg_ctlcluster(1).
//
// Where the log goes. pg_ctl servers that Standfast starts write to DIR/log/standfast-start.log (0600) until
// their logging_collector takes over. It lies inside the data directory because that is the one place its
// owner can surely write to, it goes where the directory goes, and PostgreSQL's own log/ lies there too; so a
// base backup copies it, and whoever starts a copy removes it before (remove_start_log()).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/server/cluster.h"
#include "pg/server/installation.h"
#include "pg/server/root_helper.h"

namespace standfast::server {

enum class Manager { kPgCtl, kPgCtlCluster, kSystemd };
enum class StopMode { kSmart, kFast, kImmediate };
enum class ControlAction { kStart, kStop, kRestart };

inline constexpr std::string_view kStartLogName = "log/standfast-start.log";

/// What an administrator should know of the service that runs a server.
struct ServiceNote {
  std::string line;
  std::string hint;  ///< "" where nothing is wrong
};

class ServerControl {
 public:
  /// `root` is null when nobody with root's rights is there to ask.
  static base::Result<ServerControl> choose(env::FileSystem& files, const Cluster& cluster,
                                            const Installation& installation, RootHelper* root);

  Manager manager() const { return manager_; }
  const Cluster& cluster() const { return cluster_; }
  /// The command an administrator would type, as root where it is systemd's.
  std::string describe(ControlAction action) const;
  std::string describe_start() const { return describe(ControlAction::kStart); }

  /// Up means: accepts connections, or, with hot_standby = off, replays.
  base::Result<void> start(const env::Wait& wait);
  /// A systemd unit is stopped as its file says (fast), whatever the mode.
  base::Result<void> stop(StopMode mode, const env::Wait& wait);
  base::Result<void> restart(const env::Wait& wait);
  /// kPermission where the action needs root's rights and nobody has them: before anything is changed.
  base::Result<void> check_rights(ControlAction action) const;
  /// Whether the server is back after a reboot, and whether the service gives a recovery the time it needs.
  std::vector<ServiceNote> service_notes() const;
  /// The last lines of the server's log, wherever it goes; "" when that is not known.
  std::string log_tail() const;
  /// Asks the standby to become a primary; back when it is out of recovery. kTimeout: it was asked, and still
  /// replays what it has received.
  base::Result<void> promote(const env::Wait& wait);

 private:
  /// pg_ctl hands paths to a shell between double quotes.
  static constexpr std::string_view kShellCharacters = "\"$`\\\n";

  struct Log {
    std::string path;              ///< "" when it is not known
    std::uint64_t size_bytes = 0;  ///< before the start: what stands there is of another run
  };
  ServerControl(env::FileSystem& files, Cluster cluster, Installation installation)
      : files_(&files), cluster_(std::move(cluster)), installation_(std::move(installation)) {}

  Manager manager_for(ControlAction action) const;
  std::vector<std::string> argv_of(Manager manager, ControlAction action, StopMode mode,
                                   const std::string& log_file, const env::Wait& wait) const;
  base::Result<std::string> run(ControlAction action, StopMode mode, const std::string& log_file,
                                const env::Wait& wait);
  base::Result<void> start_or_restart(ControlAction action, const env::Wait& wait);
  std::optional<ServiceNote> note_on_reboot() const;
  base::Result<Log> prepare_log(const std::optional<PostmasterPid>& running_now) const;
  base::Result<void> wait_until_up(const Log& log, const std::string& complaint, const env::Wait& wait) const;
  base::Result<void> wait_until_reaped(const env::Wait& wait) const;
  base::Result<void> wait_until_gone(pid_t pid, const env::Wait& wait) const;
  base::Error start_failed(const Log& log, const std::string& complaint) const;

  env::FileSystem* files_;
  Cluster cluster_;
  Installation installation_;
  Manager manager_ = Manager::kPgCtl;
  std::string unit_;  ///< of the service that runs this cluster, if systemd has one
  RootHelper* root_ = nullptr;
};

/// Takes the log of the source out of a copy.
base::Result<void> remove_start_log(env::FileSystem& files, const std::string& data_directory);

struct InitOptions {
  std::string data_directory;  ///< missing or empty
  std::string superuser;       ///< "" for the name of the user who runs this, as initdb
  /// Lines for postgresql.conf beyond initdb's own: port, unix_socket_directories, listen_addresses.
  std::vector<std::pair<std::string, std::string>> settings = {};
};

/// initdb with page checksums, peer on sockets, SCRAM on the network, UTF8. Takes away what it made when it
/// fails or is stopped. kTargetRefused when the directory is not empty.
base::Result<void> init_cluster(env::FileSystem& files, const Installation& installation,
                                const InitOptions& options, const env::Wait& wait);

/// C.UTF-8 where the system has it, else C.
std::string locale_of_new_clusters();

}  // namespace standfast::server
