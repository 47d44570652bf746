// What a process that is not root may ask of the root process that started it. Standfast started as root does
// its work in a child that has become the owner of the data directory for good; the service manager alone
// still needs root (cli/as_owner.h has the other end).
//
// Threading: one thread at a time. Ownership: borrowed; lives as long as the command that runs.
// Invariant: the other end checks every request by itself; nothing the child says is believed.
// Fails: kPermission for what the other end refuses, kServerControl when the service manager fails, kTimeout,
// kCancelled.
#pragma once

#include <string>

#include "base/result.h"
#include "env/stop_event.h"

namespace standfast::server {

enum class UnitAction { kStart, kStop, kRestart };

class RootHelper {
 public:
  virtual ~RootHelper() = default;
  /// systemctl start|stop|restart of a unit that runs the data directory this command was started for.
  virtual base::Result<void> control_unit(UnitAction action, const std::string& unit,
                                          const env::Wait& wait) = 0;
};

}  // namespace standfast::server
