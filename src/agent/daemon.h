// `standfast agent`: what a host does for the other members of its cluster, until it is told to stop. It
// serves its data directory within backups of its own server (session.h), and on the host with the cluster's
// authority the certificates as well; it keeps its own membership fresh (membership_keeper.h).
//
// It runs whether its server does or not: a backup begins only when the server does, and what it says of the
// cluster is read from the data directory each time.
//
// Threading: run_agent() is called in one thread, which goes round, and starts the others: one for each
// connection, one that keeps the membership. The reporter is called from that one thread alone; the events
// too. Ownership: borrows its arguments. Invariant: one agent of a cluster on a host. Fails: kInUse for
// another agent or a port that is taken; as MembershipKeeper::open() and net/connections.h do; until it
// listens nothing has been changed.
#pragma once

#include <functional>
#include <string>

#include "agent/agent_config.h"
#include "base/reporter.h"
#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/client/secret_store.h"
#include "pg/server/cluster.h"

namespace standfast::agent {

/// What whoever runs it is told and asked.
struct AgentEvents {
  /// When it listens; again after a reload.
  std::function<void()> on_ready = {};
  /// How it stands, in a line, when that has changed.
  std::function<void(const std::string& line)> on_status = {};
  std::function<void()> on_reloading = {};
  std::function<void()> on_stopping = {};
  /// The options as they are now; all of them need a restart, which is said where they differ.
  std::function<base::Result<AgentOptions>()> read_options = {};
  int reload_fd = -1;  ///< readable when it is to be looked at everything anew
};

struct AgentStart {
  server::Cluster cluster;
  client::SecretStore store;
  AgentOptions options;
};

/// Until the stop event.
base::Result<void> run_agent(env::FileSystem& files, base::Reporter& reporter, const env::StopEvent& stop,
                             const AgentStart& start, const AgentEvents& events);

}  // namespace standfast::agent
