// Keeps a second run that changes a primary out of the server: an advisory lock, held to the end of a
// session's last statement, which may be after its client was killed.
//
// Threading: one thread. Fails with kInUse when another run holds it for longer than a killed one could.
#pragma once

#include "base/result.h"
#include "env/stop_event.h"
#include "pg/client/connection.h"

namespace standfast::setup {

/// For as long as the connection lives.
base::Result<void> lock_setup(client::Connection& admin, const env::StopEvent& stop);

}  // namespace standfast::setup
