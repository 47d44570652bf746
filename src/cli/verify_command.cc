// `standfast verify`: proof that a standby replicates, with the time it took and an exit code.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/server_arguments.h"
#include "cli/verify_view.h"
#include "setup/verify.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr int kDefaultTimeoutSeconds = 30;
constexpr int kLongestTimeoutSeconds = 7 * 86400;

class VerifyCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    servers_.declare(app);
    app.add_flag(
        "--create-database", create_database_,
        "also create the database replica_demo, see it on the standby, and drop it; costs a checkpoint");
    app.add_option("--standby", standby_name_,
                   "which one, by slot or application_name, when there are several")
        ->type_name("NAME");
    app.add_option("-t,--timeout", timeout_seconds_, "how long to wait for the standby (30)")
        ->type_name("SECONDS");
  }

  Result<void> prepare(CommandContext& context) override {
    if (timeout_seconds_ < 1 || timeout_seconds_ > kLongestTimeoutSeconds) {
      return Error(ErrorCode::kUsage, fmt::format("--timeout takes 1 to {} seconds", kLongestTimeoutSeconds),
                   "Try --timeout 30.");
    }
    return servers_.prepare(context);
  }

  std::optional<OwnerRule> owner_rule() const override { return servers_.owner_rule(); }

  Result<int> run(CommandContext& context) override {
    setup::VerifyOptions options;
    options.servers = TRY(servers_.servers(context));
    if (!standby_name_.empty()) options.standby_name = standby_name_;
    if (create_database_) options.database = setup::DatabaseProof::kCreateReplicaDemo;
    options.timeout = std::chrono::seconds(timeout_seconds_);
    const setup::VerifyOutcome outcome = TRY(setup::run_verify(
        options,
        {.files = context.files, .stop = context.stop, .reporter = context.reporter, .root = context.root}));
    context.output.json(verify_as_json(outcome));
    context.output.text(render_verdict(outcome));
    return outcome.failure ? base::exit_code_of(outcome.failure->code) : 0;
  }

 private:
  ServerArguments servers_;
  std::string standby_name_;
  int timeout_seconds_ = kDefaultTimeoutSeconds;
  bool create_database_ = false;
};

}  // namespace

std::unique_ptr<Command> make_verify_command() {
  return std::make_unique<VerifyCommand>();
}

}  // namespace standfast::cli
