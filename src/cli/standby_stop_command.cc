// `standfast standby stop`: stops a standby, and only a standby.
#include <array>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/standby_arguments.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using server::StopMode;

class StandbyStopCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    arguments_.declare(app, StandbyArguments::Login::kNone);
    app.add_option("-m,--mode", mode_name_, "how, as pg_ctl does it")
        ->type_name("smart|fast|immediate")
        ->capture_default_str();
  }

  Result<void> prepare(CommandContext& context) override {
    bool is_known = false;
    for (const auto& [name, mode] : kModes) {
      if (mode_name_ != name && mode_name_ != name.substr(0, 1)) continue;
      mode_ = mode;
      is_known = true;
    }
    if (!is_known) {
      return Error(ErrorCode::kUsage, "--mode must be \"smart\", \"fast\" or \"immediate\"",
                   "Leave it out for a fast stop.");
    }
    return arguments_.prepare(context);
  }

  std::optional<OwnerRule> owner_rule() const override { return arguments_.owner_rule(); }

  Result<int> run(CommandContext& context) override {
    const auto outcome =
        TRY(setup::run_standby_stop(arguments_.options(), mode_, StandbyArguments::environment(context)));
    context.output.json({{"planned_only", outcome.planned_only},
                         {"was_running", outcome.was_running},
                         {"command", outcome.command}});
    return 0;
  }

 private:
  static constexpr std::array<std::pair<std::string_view, StopMode>, 3> kModes = {
      {{"smart", StopMode::kSmart}, {"fast", StopMode::kFast}, {"immediate", StopMode::kImmediate}}};
  StandbyArguments arguments_;
  std::string mode_name_ = "fast";
  StopMode mode_ = StopMode::kFast;
};

}  // namespace

std::unique_ptr<Command> make_standby_stop_command() {
  return std::make_unique<StandbyStopCommand>();
}

}  // namespace standfast::cli
