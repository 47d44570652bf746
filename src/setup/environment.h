// What a workflow is given of the world.
//
// Ownership: borrowed for the length of the call. Threading: the workflow's thread.
#pragma once

#include <functional>
#include <string_view>

#include "base/reporter.h"
#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"

namespace standfast::server {
class RootHelper;
}

namespace standfast::setup {

struct SetupEnvironment {
  env::FileSystem& files;
  const env::StopEvent& stop;
  base::Reporter& reporter;
  server::RootHelper* root = nullptr;  ///< to start and stop a service; none when not started as root
  /// Asks the user yes or no; absent when there is nobody to ask, and then the answer is no.
  std::function<base::Result<bool>(std::string_view question)> ask_yes_no = {};

  env::Wait wait_at_most(base::Clock::duration timeout) const {
    return env::Wait::for_at_most(timeout, &stop);
  }
};

}  // namespace standfast::setup
