#include "cli/standby_arguments.h"

#include <CLI/CLI.hpp>

#include "cli/which_cluster.h"
#include "env/terminal.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr int kLongestTimeoutSeconds = 7 * 86'400;

}  // namespace

void StandbyArguments::declare(CLI::App& app, Login login) {
  app.add_option("-D,--pgdata", data_directory_,
                 "data directory of the standby (or PGDATA; default: the one cluster of this host)")
      ->type_name("DIR");
  app.add_option("-p,--port", port_, "instead of -D: the cluster of this host with that port")
      ->type_name("PORT");
  app.add_option("-t,--timeout", timeout_seconds_, "how long to wait")
      ->type_name("SECONDS")
      ->capture_default_str();
  if (login == Login::kRole) {
    app.add_option("-U,--username", options_.user,
                   "role to ask the standby as (default: the operating system user)")
        ->type_name("ROLE");
  }
  app.add_option("--pg-bin", options_.bin_directory, "folder of PostgreSQL's programs")->type_name("DIR");
  app.add_flag("--dry-run", dry_run_, "say what would be done, and do nothing");
}

Result<void> StandbyArguments::prepare(CommandContext& context) {
  if (timeout_seconds_ < 1 || timeout_seconds_ > kLongestTimeoutSeconds) {
    return Error(ErrorCode::kUsage, "--timeout takes a number of seconds from 1 to 604800",
                 "Try --timeout 60.");
  }
  options_.timeout = base::Seconds(timeout_seconds_);
  if (dry_run_) options_.mode = setup::RunMode::kDryRun;
  std::optional<std::uint16_t> port;
  if (!port_.empty()) port = TRY(port_of(port_));
  options_.data_directory = TRY(take_data_directory(data_directory_, port, context));
  return base::ok();
}

setup::SetupEnvironment StandbyArguments::environment(CommandContext& context) {
  setup::SetupEnvironment environment{
      .files = context.files, .stop = context.stop, .reporter = context.reporter, .root = context.root};
  const bool is_for_a_person =
      context.output.format() == OutputFormat::kText && context.output.stdout_is_terminal();
  if (is_for_a_person && env::can_ask()) {
    environment.ask_yes_no = [&context](std::string_view question) {
      return env::ask_yes_no(std::string(question) + " [y/N] ", context.stop);
    };
  }
  return environment;
}

}  // namespace standfast::cli
