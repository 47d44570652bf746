// `standfast standby start`: starts a standby, waits until it takes connections, says whether it streams.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/standby_arguments.h"

namespace standfast::cli {
namespace {

using base::Result;

class StandbyStartCommand final : public Command {
 public:
  void declare(CLI::App& app) override { arguments_.declare(app, StandbyArguments::Login::kRole); }
  Result<void> prepare(CommandContext& context) override { return arguments_.prepare(context); }
  std::optional<OwnerRule> owner_rule() const override { return arguments_.owner_rule(); }

  Result<int> run(CommandContext& context) override {
    const auto outcome =
        TRY(setup::run_standby_start(arguments_.options(), StandbyArguments::environment(context)));
    context.output.json({{"planned_only", outcome.planned_only},
                         {"was_running", outcome.was_running},
                         {"command", outcome.command},
                         {"streaming", outcome.is_streaming},
                         {"state", outcome.state}});
    return 0;
  }

 private:
  StandbyArguments arguments_;
};

}  // namespace

std::unique_ptr<Command> make_standby_start_command() {
  return std::make_unique<StandbyStartCommand>();
}

}  // namespace standfast::cli
