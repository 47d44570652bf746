// A data directory as it lies on the disk: its major version, its owner, whether a server runs on it, whether
// it is a standby, and where its configuration is. Looks only; control.h starts and stops.
//
// Threading: values and a borrowed FileSystem; one thread at a time. Ownership: borrows the FileSystem, which
// outlives it. Nothing is cached that a server may change: running(), control_file(), is_standby() read anew.
// Fails: kPrecondition when the directory is no data directory or its server does not run, kVersion for a
// major that is not supported, kPermission, kIo, kDamaged.
// Follows: utils/pidfile.h (lines of postmaster.pid), utils/init/miscinit.c CreateLockFile().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/client/connection.h"
#include "pg/format/control_file.h"
#include "pg/server/debian.h"

namespace standfast::server {

/// The last line of postmaster.pid. kStandby is up, and takes no connections (hot_standby = off).
enum class PostmasterStatus { kUnknown, kStarting, kStopping, kReady, kStandby };

struct PostmasterPid {
  pid_t pid = 0;
  std::string data_directory;
  std::int64_t start_unix_seconds = 0;
  int port = 0;
  std::string socket_directory;  ///< the first one; "" when there is none
  std::string listen_address;    ///< the first one, "*" as it stands; "" when there is none
  PostmasterStatus status = PostmasterStatus::kUnknown;

  bool accepts_connections() const { return status == PostmasterStatus::kReady; }
};

/// A server that is just starting has written only the first lines; what is not there yet stays empty.
/// kProtocol when the first line is not a process id.
base::Result<PostmasterPid> parse_postmaster_pid(std::string_view text);

class Cluster {
 public:
  static base::Result<Cluster> open(env::FileSystem& files, const std::string& data_directory);

  const std::string& data_directory() const { return data_directory_; }  ///< absolute, links resolved
  uid_t owner() const { return owner_; }
  mode_t mode() const { return mode_; }
  int major() const { return major_; }
  const std::optional<DebianCluster>& debian() const { return debian_; }
  /// The folder of postgresql.conf and pg_hba.conf: the data directory, or Debian's.
  const std::string& configuration_directory() const;
  std::string configuration_file() const { return configuration_directory() + "/postgresql.conf"; }

  /// Read again until its CRC holds, because a running server may be writing it.
  base::Result<pg::ControlFile> control_file() const;
  /// The postmaster of this data directory: its process exists, and is not another program that was given the
  /// id of one that died.
  base::Result<std::optional<PostmasterPid>> running() const;
  /// Whether that process is a postmaster of this data directory, whatever postmaster.pid says.
  bool is_postmaster(pid_t pid) const;
  /// Whether a server started on it would be, or is, a standby: standby.signal is there. After a promotion
  /// the server has removed it.
  base::Result<bool> is_standby() const;
  /// How to reach the running server from this host: its first socket, else its first address. No user and
  /// no password are set.
  base::Result<client::ConnectOptions> local_connection(const std::string& database) const;
  /// Connects so and makes sure that the server at the other end is the one of this directory.
  /// Without a user it is libpq's default: PGUSER, else the operating system user's name.
  base::Result<client::Connection> connect(const std::string& database, const env::Wait& wait,
                                           const std::optional<std::string>& user = {}) const;

 private:
  explicit Cluster(env::FileSystem& files) : files_(&files) {}

  env::FileSystem* files_;
  std::string data_directory_;
  uid_t owner_ = 0;
  mode_t mode_ = 0;
  int major_ = 0;
  std::optional<DebianCluster> debian_;
};

}  // namespace standfast::server
