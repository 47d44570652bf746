// What every workflow of setup/ is given to work with.
//
// Ownership: borrows everything; what it borrows outlives the workflow. Threading: one thread.
#pragma once

#include "base/reporter.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/server/root_helper.h"

namespace standfast::setup {

struct SetupEnvironment {
  env::FileSystem& files;
  const env::StopEvent& stop;
  base::Reporter& reporter;
  server::RootHelper* root = nullptr;  ///< null when nobody with root's rights is there to ask

  env::Wait wait_at_most(base::Clock::duration timeout) const { return env::Wait::for_at_most(timeout, &stop); }
};

}  // namespace standfast::setup
