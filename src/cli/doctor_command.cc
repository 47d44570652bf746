// `standfast doctor`: what on this host is well, what is risky for replication, and what to do.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/doctor_view.h"
#include "cli/which_cluster.h"
#include "env/process.h"
#include "pg/server/cluster_search.h"
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
    app.add_option("-D,--pgdata", data_directory_,
                   "data directory of the cluster to look at (or PGDATA; default: the one of this host)")
        ->type_name("DIR");
    app.add_option("-p,--port", port_, "instead of -D: the cluster of this host with that port")
        ->type_name("PORT");
    app.add_option("-U,--username", options_.user,
                   "role to ask the server as (default: the operating system user)")
        ->type_name("ROLE");
    app.add_option("--pg-bin", options_.bin_directory, "folder of PostgreSQL's programs")->type_name("DIR");
  }

  Result<void> prepare(CommandContext& context) override {
    std::string directory;
    if (!port_.empty()) {
      directory = TRY(take_data_directory(data_directory_, TRY(port_of(port_)), context));
    } else {
      directory = TRY(named_data_directory(data_directory_, context));
      // A host without a cluster is looked at too.
      if (directory.empty()) directory = TRY(the_only_cluster(context));
    }
    if (directory.empty()) {
      options_.why_no_directory = "no cluster was found on this host, and none is named by -D or PGDATA";
    } else {
      options_.data_directory = directory;
    }
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
  /// "" when there is none; kUsage when there are several.
  static Result<std::string> the_only_cluster(CommandContext& context) {
    const auto found = server::find_clusters(context.files);
    if (server::without_claims(found).empty()) {
      say_claims(found, context);
      return std::string();
    }
    return take_data_directory("", std::nullopt, context);
  }

  setup::DoctorOptions options_;
  std::string data_directory_;
  std::string port_;
};

}  // namespace

std::unique_ptr<Command> make_doctor_command() {
  return std::make_unique<DoctorCommand>();
}

}  // namespace standfast::cli
