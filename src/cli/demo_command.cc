#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/status_view.h"
#include "cli/table.h"
#include "cli/verify_view.h"
#include "pg/server/cluster.h"
#include "setup/demo.h"
#include "setup/status.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

class DemoCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("-D,--directory", options_.directory,
                   "folder to make it in, missing or empty (default: a temporary one)")
        ->type_name("DIR");
    app.add_option("--pg-bin", options_.bin_directory, "folder of PostgreSQL's programs")->type_name("DIR");
    auto* once = app.add_flag("--once", once_, "end after the verification and remove everything");
    app.add_flag("--keep", keep_, "leave both servers running and end")->excludes(once);
  }

  Result<void> prepare(CommandContext&) override {
    if (options_.directory) options_.directory = env::absolute_path(*options_.directory);
    if (once_) options_.end = setup::DemoEnd::kOnce;
    if (keep_) options_.end = setup::DemoEnd::kKeep;
    return base::ok();
  }

  std::optional<OwnerRule> owner_rule() const override {
    return OwnerRule{.data_directory = options_.directory.value_or(""),
                     .existence = DataDirectory::kMayBeMissing};
  }

  Result<int> run(CommandContext& context) override {
    const setup::SetupEnvironment environment{
        .files = context.files, .stop = context.stop, .reporter = context.reporter, .root = context.root};
    const auto show = [&](const setup::DemoOutcome& outcome) {
      return show_pair(outcome, environment, context);
    };
    const setup::DemoOutcome outcome = TRY(setup::run_demo(options_, environment, show));
    nlohmann::ordered_json json;
    json["directory"] = outcome.directory;
    json["primary"] = {{"data_directory", outcome.primary.data_directory}, {"port", outcome.primary.port}};
    json["standby"] = {{"data_directory", outcome.standby.data_directory}, {"port", outcome.standby.port}};
    json["verify"] = verify_as_json(outcome.proof);
    json["removed"] = outcome.removed;
    context.output.json(std::move(json));
    if (outcome.removed) context.output.text("\nall of it is stopped and removed\n");
    return 0;
  }

 private:
  /// Both views of the seed, the members, and what to try next.
  Result<void> show_pair(const setup::DemoOutcome& outcome, const setup::SetupEnvironment& environment,
                         CommandContext& context) {
    setup::StatusOptions status;
    for (const setup::DemoServer* server : {&outcome.primary, &outcome.standby}) {
      const auto cluster = TRY(server::Cluster::open(context.files, server->data_directory));
      status.servers.push_back(TRY(cluster.local_connection("postgres")));
    }
    status.detail = setup::Detail::kViews;
    const setup::StatusReport report = TRY(setup::collect_status(status, environment));
    context.output.text("\n" + render_members(report, context.output.width_columns()) + "\n" +
                        render_views(report.views) + "\n" + render_findings(report));
    context.output.text(what_to_try(outcome, context));
    return base::ok();
  }

  std::string what_to_try(const setup::DemoOutcome& outcome, const CommandContext& context) const {
    // Sockets admit the server's own user only (peer), so root has to become him.
    const std::string as_user = context.root != nullptr ? fmt::format("runuser -u {} -- ", outcome.user) : "";
    const std::string psql = fmt::format("{}psql -h {}/sockets -d postgres", as_user, outcome.directory);
    const std::string standfast =
        fmt::format("STANDFAST_HOME={}/secrets {}", outcome.directory, program_path(context));
    Table table({{"to", Align::kLeft}, {"try", Align::kLeft}});
    table.add_row({"write on the primary",
                   fmt::format("{} -p {} -c 'CREATE TABLE t AS SELECT 1 AS n'", psql, outcome.primary.port)});
    table.add_row({"read on the standby", fmt::format("{} -p {} -c 'TABLE t'", psql, outcome.standby.port)});
    table.add_row(
        {"see both sides", fmt::format("{} status -D {}", standfast, outcome.primary.data_directory)});
    table.add_row({"see the views",
                   fmt::format("{} status --detail -D {}", standfast, outcome.standby.data_directory)});
    table.add_row(
        {"prove it again", fmt::format("{} verify -D {}", standfast, outcome.standby.data_directory)});
    table.add_row({"stop the standby",
                   fmt::format("{} standby stop -D {}", standfast, outcome.standby.data_directory)});
    table.add_row({"make it a primary",
                   fmt::format("{} standby promote -D {}", standfast, outcome.standby.data_directory)});
    std::string text = options_.end == setup::DemoEnd::kOnce
                           ? "\nwhat to try next (start without --once, and the servers stay for it):\n\n"
                           : "\nwhat to try next, in another terminal:\n\n";
    text += table.to_string();
    if (options_.end == setup::DemoEnd::kKeep) {
      text += fmt::format(
          "\nboth servers stay; to end it: {0}{1}/pg_ctl -D {2} stop; {0}{1}/pg_ctl -D {3} stop; rm -r {4}\n",
          as_user, outcome.bin_directory, outcome.standby.data_directory, outcome.primary.data_directory,
          outcome.directory);
    } else if (options_.end == setup::DemoEnd::kStay) {
      text += "\nCtrl-C stops both servers and removes all of it\n";
    }
    return text;
  }

  static std::string program_path(const CommandContext& context) {
    const auto own = context.files.read_symlink("/proc/self/exe");
    return own ? *own : context.program;
  }

  setup::DemoOptions options_;
  bool once_ = false;
  bool keep_ = false;
};

}  // namespace

std::unique_ptr<Command> make_demo_command() {
  return std::make_unique<DemoCommand>();
}

}  // namespace standfast::cli
