// `standfast doctor`: what on this host is well, what is risky for replication, and what to do.
#include <cstdlib>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/doctor_view.h"
#include "env/process.h"
#include "setup/doctor_look.h"

namespace standfast::cli {
namespace {

using base::Result;

/// Whom root becomes where no cluster tells it: who looks needs no rights of his own.
std::string user_without_cluster() {
  const auto postgres = env::find_user(std::string("postgres"));
  return postgres && *postgres ? "postgres" : "nobody";
}

class DoctorCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("-D,--pgdata", options_.data_directory,
                   "data directory of the cluster to look at (or PGDATA)")
        ->type_name("DIR");
    app.add_option("-U,--username", options_.user,
                   "role to ask the server as (default: the operating system user)")
        ->type_name("ROLE");
    app.add_option("--pg-bin", options_.bin_directory, "folder of PostgreSQL's programs")->type_name("DIR");
  }

  Result<void> prepare(CommandContext& /*context*/) override {
    if (!options_.data_directory) {
      const char* directory = std::getenv("PGDATA");
      if (directory != nullptr && *directory != '\0') options_.data_directory = directory;
    }
    if (options_.data_directory) options_.data_directory = env::absolute_path(*options_.data_directory);
    options_.why_no_directory = "no data directory is named: give one with -D, or set PGDATA";
    return base::ok();
  }

  std::optional<OwnerRule> owner_rule() const override {
    OwnerRule rule{.data_directory = options_.data_directory.value_or(""),
                   .existence = DataDirectory::kMayBeMissing};
    if (!options_.data_directory) rule.user = user_without_cluster();
    return rule;
  }

  Result<int> run(CommandContext& context) override {
    const setup::SetupEnvironment environment{
        .files = context.files, .stop = context.stop, .reporter = context.reporter, .root = context.root};
    const setup::DoctorFacts facts = TRY(setup::look_at_host(options_, environment));
    const setup::DoctorReport report = setup::judge(facts);
    context.output.text(render_doctor(report));
    context.output.json(doctor_as_json(report));
    return report.exit_code();
  }

 private:
  setup::DoctorOptions options_;
};

}  // namespace

std::unique_ptr<Command> make_doctor_command() {
  return std::make_unique<DoctorCommand>();
}

}  // namespace standfast::cli
