// The passwords that this host's secret store has of a cluster, in whichever of its passfiles: those of
// `primary setup`, and on a standby's host those that `join` keeps.
//
// Threading: one thread. Ownership: values. Fails as the store does; nothing of an error is secret.
#pragma once

#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "pg/client/secret_store.h"
#include "pg/format/passfile.h"

namespace standfast::setup {

/// In the order of the files' names; none where the store knows nothing of the cluster.
base::Result<std::vector<pg::PassfileEntry>> passwords_in_store(env::FileSystem& files,
                                                                const client::SecretStore& store,
                                                                pg::SystemId system_id);

}  // namespace standfast::setup
