// A program that was started, for what starts programs (env/posix).
//
// Threading: one thread. Ownership: a Child owns its process: it is only looked at until the Child goes, and
// as long as nobody has taken its status, neither its id nor its group's can become those of another program.
// Fails with: kPrecondition for a program that is not in PATH, and as the system calls do.
#pragma once

#include <optional>
#include <string>

#include <sys/types.h>

#include "base/result.h"
#include "env/posix/descriptor.h"
#include "env/process.h"

namespace standfast::env {

struct Pipe {
  Descriptor read;
  Descriptor write;
};
base::Result<Pipe> make_pipe();

class Child {
 public:
  explicit Child(pid_t pid);
  /// Whoever leaves before its end leaves none behind.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  int fd() const { return pidfd_.get(); }  ///< readable when it has ended; negative where the kernel has none
  void signal_group(int number) const;
  bool has_ended();
  int exit_code() const { return *exit_code_; }
  /// Lets go of it: it runs on.
  void leave() { is_left_ = true; }

 private:
  pid_t pid_;
  Descriptor pidfd_;
  std::optional<int> exit_code_;
  bool is_left_ = false;
};

/// Starts the program of `command` in a session of its own, with nothing open but the three streams.
base::Result<pid_t> start_child(const Command& command, int output, int errors);

/// How often to look whether a child has ended on a kernel without pidfd_open().
inline constexpr base::Milliseconds kChildPollInterval(20);

}  // namespace standfast::env
