// A program that runs beside this one, in a session of its own, and writes what it says to a file.
//
// Threading: one thread. Ownership: owns its process: one that is let go of without leave() is killed first.
// Fails with: as the system calls do; kTimeout from stop() when SIGTERM was not enough.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <sys/types.h>

#include "base/result.h"
#include "env/process.h"
#include "env/stop_event.h"

namespace standfast::env {

class Child;

class BackgroundProgram {
 public:
  /// Both its streams are added to the end of `log_file`, which is made with mode 0600.
  static base::Result<BackgroundProgram> start(const Command& command, const std::string& log_file);
  ~BackgroundProgram();
  BackgroundProgram(BackgroundProgram&& other) noexcept;
  BackgroundProgram& operator=(BackgroundProgram&& other) noexcept;

  pid_t pid() const;
  /// Of a program that has ended: its exit code, or 128 + the number of the signal that ended it.
  std::optional<int> exit_code() const;
  /// SIGTERM, and SIGKILL to its group where that has not ended it in time or the wait is stopped. It is gone
  /// in any case.
  base::Result<int> stop(const Wait& wait);
  /// It runs on, and outlives this process.
  void leave();

 private:
  explicit BackgroundProgram(std::unique_ptr<Child> child);

  std::unique_ptr<Child> child_;
};

}  // namespace standfast::env
