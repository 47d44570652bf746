// `standfast standby rejoin`: an old data directory becomes a standby again, by what differs.
#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/copy_arguments.h"
#include "cli/copy_view.h"
#include "clone/rejoin.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

std::string_view name_of(clone::Standing standing) {
  switch (standing) {
    case clone::Standing::kBehind:
      return "behind";
    case clone::Standing::kSourceBehind:
      return "source_behind";
    case clone::Standing::kDiverged:
      break;
  }
  return "diverged";
}

nlohmann::ordered_json as_json(const clone::RejoinJudgement& judgement) {
  nlohmann::ordered_json json = {{"standing", name_of(judgement.lines.standing)},
                                 {"fork_lsn", judgement.lines.fork.to_string()},
                                 {"fork_timeline", judgement.lines.fork_timeline.value()},
                                 {"old_end_lsn", judgement.old_end.to_string()},
                                 {"old_timeline", judgement.old_timeline.value()},
                                 {"source_timeline", judgement.source_timeline.value()}};
  json["lost_transactions"] =
      judgement.lost_transactions ? nlohmann::ordered_json(*judgement.lost_transactions) : nullptr;
  return json;
}

nlohmann::ordered_json as_json(const clone::RejoinPlan& plan, const std::string& target) {
  nlohmann::ordered_json json = {{"planned_only", true},
                                 {"data_directory", target},
                                 {"system_identifier", plan.system_id.to_string()},
                                 {"server_version", plan.server_version.to_string()},
                                 {"judgement", as_json(plan.judgement)},
                                 {"goes_on", plan.goes_on},
                                 {"stops_server", plan.stops_server},
                                 {"member", plan.member},
                                 {"total_bytes", plan.total_bytes},
                                 {"moved_bytes", plan.moved_bytes},
                                 {"disks", nlohmann::ordered_json::array()}};
  for (const clone::DiskNeed& disk : plan.disks) {
    json["disks"].push_back({{"folder", disk.path},
                             {"needed_bytes", disk.needed_bytes},
                             {"available_bytes", disk.available_bytes}});
  }
  return json;
}

nlohmann::ordered_json as_json(const clone::RejoinFacts& facts, const std::string& target) {
  nlohmann::ordered_json json = {
      {"data_directory", target},
      {"system_identifier", facts.system_id.to_string()},
      {"server_version", facts.server_version.to_string()},
      {"judgement", as_json(facts.judgement)},
      {"timeline", facts.timeline.value()},
      {"start_lsn", facts.start_lsn.to_string()},
      {"stop_lsn", facts.stop_lsn.to_string()},
      {"agent", agent_as_json(facts.agent)},
      {"total_bytes", facts.total_bytes},
      {"wal_bytes", facts.wal_bytes},
      {"kept", facts.kept},
      {"elapsed_seconds", std::chrono::duration<double>(facts.elapsed).count()},
  };
  json["slot"] = facts.slot ? nlohmann::ordered_json(*facts.slot) : nullptr;
  json["slot_was_created"] = facts.slot_was_created;
  return json;
}

class StandbyRejoinCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    const std::string directory = "The directory";
    arguments_.declare_source(app, "Where from", AgentArguments::Ways::kAgentAlone);
    arguments_.declare_directory(app, directory);
    app.add_flag("--discard-diverged", discard_, "give up what it has that the source never had")
        ->group(directory);
    arguments_.declare_transfer(app, directory);
    app.add_flag("--dry-run", dry_run_, "compare, and print what would be moved")->group(directory);
    arguments_.declare_standby(app, "The standby");
  }

  Result<void> prepare(CommandContext& context) override {
    TRY(arguments_.read(options_.copy));
    options_.copy.label = "standfast rejoin";
    if (discard_) options_.on_divergence = clone::OnDivergence::kDiscard;
    return arguments_.prepare_login(context, options_.copy);
  }

  std::optional<OwnerRule> owner_rule() const override {
    return OwnerRule{.data_directory = options_.copy.target};
  }

  Result<int> run(CommandContext& context) override {
    const clone::CloneEnvironment environment{context.files, context.stop, context.reporter};
    TRY(arguments_.run(context, options_.copy, [&] { return attempt(context, environment); }));
    return 0;
  }

 private:
  Result<void> attempt(CommandContext& context, const clone::CloneEnvironment& environment) {
    if (dry_run_) {
      const clone::RejoinPlan plan = TRY(clone::plan_rejoin(options_, environment));
      context.output.text(text_of(plan));
      context.output.json(as_json(plan, options_.copy.target));
      return base::ok();
    }
    const clone::RejoinFacts facts = TRY(clone::run_rejoin(options_, environment));
    context.output.text(text_of(facts, context.program));
    context.output.json(as_json(facts, options_.copy.target));
    return base::ok();
  }

  std::string text_of(const clone::RejoinPlan& plan) const {
    std::string text =
        fmt::format("PostgreSQL {}, system identifier {}, through the agent of member \"{}\"\n",
                    plan.server_version.to_string(), plan.system_id.to_string(), plan.member);
    text += fmt::format("\"{}\": {}\n", options_.copy.target, clone::describe(plan.judgement));
    if (plan.goes_on) text += "would go on with a rejoin that did not end\n";
    if (plan.stops_server) text += fmt::format("would stop the server in \"{}\"\n", options_.copy.target);
    text += fmt::format("would move {} of {}\n", base::format_bytes(plan.moved_bytes),
                        base::format_bytes(plan.total_bytes));
    for (const clone::DiskNeed& disk : plan.disks) {
      text +=
          fmt::format("needs {} on the disk of \"{}\", which has {}\n", base::format_bytes(disk.needed_bytes),
                      disk.path, base::format_bytes(disk.available_bytes));
    }
    return text + "nothing was changed (--dry-run)\n";
  }

  std::string text_of(const clone::RejoinFacts& facts, const std::string& program) const {
    std::string text =
        fmt::format("\"{}\" is a standby of timeline {} again, after {}\n", options_.copy.target,
                    facts.timeline.value(), base::format_duration(facts.elapsed));
    if (facts.judgement.lines.standing == clone::Standing::kDiverged)
      text += fmt::format("given up: {}\n", clone::describe(facts.judgement));
    text += text_of_agent(facts.agent);
    text += fmt::format("WAL from {} to {}\n", facts.start_lsn.to_string(), facts.stop_lsn.to_string());
    text +=
        fmt::format("its old WAL and configuration files are kept in \"{}\"; those in use are the source's\n",
                    facts.kept);
    if (facts.slot_was_created) text += fmt::format("created replication slot \"{}\"\n", *facts.slot);
    return text + fmt::format("start it with: {} standby start -D {}\n", program, options_.copy.target);
  }

  clone::RejoinOptions options_;
  CopyArguments arguments_{{
      .directory = "the old data directory (or PGDATA)",
      .no_directory = "Say with -D which one is to rejoin.",
      .mapping = "OLDDIR=NEWDIR: where a tablespace goes that is new (repeatable)",
      .no_verify = "do not check the pages that come",
      .no_slot = "let nothing hold the WAL back meanwhile",
      .names_of_conninfo = "--from,-d,--dbname",
  }};
  bool discard_ = false;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> make_standby_rejoin_command() {
  return std::make_unique<StandbyRejoinCommand>();
}

}  // namespace standfast::cli
