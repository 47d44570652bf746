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
    auto* once = app.add_flag("--once", once_, "end after the last step and remove everything");
    app.add_flag("--keep", keep_, "leave both servers and the witness running and end")->excludes(once);
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
    const auto show = [&](const setup::DemoOutcome& outcome, setup::DemoScene scene) {
      return show_scene(outcome, scene, environment, context);
    };
    const setup::DemoOutcome outcome = TRY(setup::run_demo(options_, environment, show));
    context.output.json(as_json(outcome));
    if (outcome.removed) context.output.text("\nall of it is stopped and removed\n");
    return 0;
  }

 private:
  static nlohmann::ordered_json as_json(const setup::DemoOutcome& outcome) {
    const auto server = [](const setup::DemoServer& one) {
      return nlohmann::ordered_json{{"data_directory", one.data_directory}, {"port", one.port}};
    };
    const setup::DemoLossProof& proof = outcome.loss_proof;
    const auto milliseconds = [](base::Clock::duration time) {
      return std::chrono::duration<double, std::milli>(time).count();
    };
    nlohmann::ordered_json json;
    json["directory"] = outcome.directory;
    json["primary"] = server(outcome.primary);
    json["standby"] = server(outcome.standby);
    json["witness"] = {{"folder", outcome.witness.folder}, {"port", outcome.witness.port}};
    if (outcome.witness.process && !outcome.removed) json["witness"]["process"] = *outcome.witness.process;
    json["verify"] = verify_as_json(outcome.proof);
    json["loss_proof"] = {{"acknowledged_rows", proof.acknowledged_rows},
                          {"found_rows", proof.found_rows},
                          {"further_rows", proof.further_rows},
                          {"mean_commit_ms", milliseconds(proof.mean_commit)},
                          {"longest_commit_ms", milliseconds(proof.longest_commit)},
                          {"standby_lsn", proof.standby_lsn.to_string()},
                          {"acknowledged_lsn", proof.acknowledged_lsn.to_string()},
                          {"streamed_from", proof.promotion.streamed_from
                                                ? nlohmann::ordered_json(*proof.promotion.streamed_from)
                                                : nlohmann::ordered_json()},
                          {"begins_at", proof.promotion.begins_at
                                            ? nlohmann::ordered_json(proof.promotion.begins_at->to_string())
                                            : nlohmann::ordered_json()}};
    json["removed"] = outcome.removed;
    return json;
  }

  /// The members; of the pair both views of the seed too; and at the end what to try next.
  Result<void> show_scene(const setup::DemoOutcome& outcome, setup::DemoScene scene,
                          const setup::SetupEnvironment& environment, CommandContext& context) {
    setup::StatusOptions status;
    for (const setup::DemoServer* server : {&outcome.primary, &outcome.standby}) {
      const auto cluster = TRY(server::Cluster::open(context.files, server->data_directory));
      status.servers.push_back(TRY(cluster.local_connection("postgres")));
    }
    const bool is_pair = scene == setup::DemoScene::kPair;
    status.detail = is_pair ? setup::Detail::kViews : setup::Detail::kNo;
    const setup::StatusReport report = TRY(setup::collect_status(status, environment));
    context.output.text("\n" + render_members(report, context.output.width_columns()) + "\n");
    if (is_pair) context.output.text(render_views(report.views) + "\n");
    context.output.text(render_findings(report));
    context.output.text(scene == setup::DemoScene::kEnd ? what_to_try(outcome, context) : "\n");
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
        {"see all three", fmt::format("{} status -D {}", standfast, outcome.primary.data_directory)});
    table.add_row({"see the views",
                   fmt::format("{} status --detail -D {}", standfast, outcome.standby.data_directory)});
    table.add_row(
        {"prove it again", fmt::format("{} verify -D {}", standfast, outcome.standby.data_directory)});
    table.add_row({"see who is waited for",
                   fmt::format("{} sync show -D {}", standfast, outcome.primary.data_directory)});
    table.add_row({"see what the witness has",
                   fmt::format("{} wal list -D {}/wal", program_path(context), outcome.witness.folder)});
    table.add_row({"stop the standby",
                   fmt::format("{} standby stop -D {}", standfast, outcome.standby.data_directory)});
    table.add_row({"make it a primary",
                   fmt::format("{} standby promote -D {}", standfast, outcome.standby.data_directory)});
    std::string text = options_.end == setup::DemoEnd::kOnce
                           ? "\nwhat to try next (start without --once, and all of it stays for that):\n\n"
                           : "\nwhat to try next, in another terminal:\n\n";
    text += table.to_string();
    if (options_.end == setup::DemoEnd::kKeep) {
      text += fmt::format(
          "\nboth servers and the witness stay; to end it: {0}{1}/pg_ctl -D {2} stop; {0}{1}/pg_ctl -D {3} "
          "stop; "
          "kill {4}; rm -r {5}\n",
          as_user, outcome.bin_directory, outcome.standby.data_directory, outcome.primary.data_directory,
          outcome.witness.process.value_or(0), outcome.directory);
    } else if (options_.end == setup::DemoEnd::kStay) {
      text += "\nCtrl-C stops both servers and the witness, and removes all of it\n";
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
