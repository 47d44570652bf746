// The options that `standby start`, `stop` and `promote` share: -D, -p, --pg-bin, -t, -U, --dry-run.
//
// Threading: one thread. Ownership: lives as long as the command. Fails with kUsage, and as which_cluster.h
// does.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/command.h"
#include "setup/standby_control.h"

namespace standfast::cli {

class StandbyArguments {
 public:
  enum class Login { kNone, kRole };

  void declare(CLI::App& app, Login login);
  base::Result<void> prepare(CommandContext& context);
  OwnerRule owner_rule() const { return {.data_directory = options_.data_directory}; }
  const setup::StandbyOptions& options() const { return options_; }
  /// What a workflow is given; asks on the terminal where a person sits at it.
  static setup::SetupEnvironment environment(CommandContext& context);

 private:
  setup::StandbyOptions options_;
  std::string data_directory_;
  std::string port_;
  int timeout_seconds_ = 60;
  bool dry_run_ = false;
};

}  // namespace standfast::cli
