// `primary setup` on a cluster whose server stands still: it is started where only this run reaches it,
// changed there, and stopped again, so that the changes take force at its next start, which whoever runs it
// does.
//
// Threading: one thread. Ownership: borrows its arguments. Fails as run_primary_setup() and
// server::PrivateServer do; the server stands still again after every failure.
#pragma once

#include "base/result.h"
#include "pg/client/secret_store.h"
#include "pg/server/cluster.h"
#include "pg/server/installation.h"
#include "setup/environment.h"
#include "setup/primary_plan.h"
#include "setup/primary_setup.h"

namespace standfast::setup {

struct StoppedCluster {
  const server::Cluster& cluster;
  const server::Installation& installation;
  const client::SecretStore& store;
};

/// Whether the server stands still, but for one on a private socket that a killed run left.
base::Result<bool> stands_still(const server::Cluster& cluster, const SetupEnvironment& environment);

/// With leave to restart the server is started at the end by whatever runs it, and the run goes on to the
/// logins and the tokens; else the outcome is kPendingRestart.
base::Result<PrimarySetupOutcome> set_up_stopped(const StoppedCluster& stopped,
                                                 const PrimarySetupOptions& options, const PrimaryWish& wish,
                                                 const SetupEnvironment& environment);

/// What would be done, as far as the files tell: starting a server to ask it would change the directory.
base::Result<PrimarySetupOutcome> plan_stopped(const StoppedCluster& stopped,
                                               const PrimarySetupOptions& options, const PrimaryWish& wish,
                                               const SetupEnvironment& environment);

}  // namespace standfast::setup
