// The server that an agent is beside: what it is, from its data directory, and backups of it, by its socket.
//
// Threading: any. Ownership: borrows the file system, by the Cluster. Fails: kPrecondition where the
// directory has become another cluster's, or no server runs for a backup; as server::Cluster and
// begin_bracket() do.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "agent/backup.h"
#include "agent/messages.h"
#include "base/result.h"
#include "env/stop_event.h"
#include "pg/server/cluster.h"

namespace standfast::agent {

class LocalServer {
 public:
  struct Login {
    std::optional<std::string> user = {};  ///< none: that of the operating system
    std::string database;
  };
  static base::Result<std::unique_ptr<LocalServer>> open(server::Cluster cluster, Login login);

  const std::string& data_directory() const { return cluster_.data_directory(); }
  pg::SystemId system_id() const { return system_id_; }
  /// As it is now, whether a server runs or not: of its version the major alone is known.
  base::Result<Welcome> facts() const;
  base::Result<std::unique_ptr<Bracket>> begin(const BeginBackup& request, const env::Wait& wait) const;

 private:
  LocalServer(server::Cluster cluster, Login login, pg::SystemId system_id)
      : cluster_(std::move(cluster)), login_(std::move(login)), system_id_(system_id) {}
  base::Result<pg::ControlFile> control_file() const;

  const server::Cluster cluster_;
  const Login login_;
  const pg::SystemId system_id_;
};

}  // namespace standfast::agent
