// `standfast standby clone`: pg_basebackup's flags, natively, and never over what is there.
#include <array>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/copy_arguments.h"
#include "cli/copy_view.h"
#include "clone/clone.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

nlohmann::ordered_json as_json(const clone::CloneFacts& facts, const std::string& target) {
  nlohmann::ordered_json json = {
      {"data_directory", target},
      {"system_identifier", facts.system_id.to_string()},
      {"server_version", facts.server_version.to_string()},
      {"source_is_standby", facts.source_is_standby},
      {"timeline", facts.timeline.value()},
      {"start_lsn", facts.start_lsn.to_string()},
      {"stop_lsn", facts.stop_lsn.to_string()},
      {"bytes", facts.bytes},
      {"wal_bytes", facts.wal_bytes},
      {"files", facts.files},
      {"tablespaces", facts.tablespaces},
      {"manifest_checked", facts.manifest_checked},
      {"elapsed_seconds", std::chrono::duration<double>(facts.elapsed).count()},
  };
  json["moved_aside_to"] = facts.moved_aside_to ? nlohmann::ordered_json(*facts.moved_aside_to) : nullptr;
  json["slot"] = facts.slot ? nlohmann::ordered_json(*facts.slot) : nullptr;
  json["slot_was_created"] = facts.slot_was_created;
  json["agent"] = facts.agent ? agent_as_json(*facts.agent) : nlohmann::ordered_json(nullptr);
  return json;
}

nlohmann::ordered_json as_json(const clone::ClonePlan& plan) {
  nlohmann::ordered_json json = {{"planned_only", true},
                                 {"data_directory", plan.target},
                                 {"system_identifier", plan.system_id.to_string()},
                                 {"server_version", plan.server_version.to_string()},
                                 {"source_is_standby", plan.source_is_standby},
                                 {"timeline", plan.timeline.value()},
                                 {"stops_server", plan.stops_server}};
  json["agent"] = plan.agent ? nlohmann::ordered_json(*plan.agent) : nullptr;
  json["moves_aside_to"] = plan.moves_aside_to ? nlohmann::ordered_json(*plan.moves_aside_to) : nullptr;
  json["moves_old_to"] = plan.moves_old_to ? nlohmann::ordered_json(*plan.moves_old_to) : nullptr;
  json["exchanges_entries"] = plan.inside_because.has_value();
  return json;
}

class StandbyCloneCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    declare_source(app);
    declare_copy(app);
    declare_standby(app);
  }

  Result<void> prepare(CommandContext& context) override {
    TRY(arguments_.read(options_));
    TRY(read_copy_options());
    return arguments_.prepare_login(context, options_);
  }

  std::optional<OwnerRule> owner_rule() const override {
    return OwnerRule{.data_directory = options_.target, .existence = DataDirectory::kMayBeMissing};
  }

  Result<int> run(CommandContext& context) override {
    const clone::CloneEnvironment environment{context.files, context.stop, context.reporter};
    TRY(arguments_.run(context, options_, [&] { return attempt(context, environment); }));
    return 0;
  }

 private:
  void declare_source(CLI::App& app) {
    const std::string group = "Where from";
    arguments_.declare_source(app, group, AgentArguments::Ways::kAll);
    app.add_flag("--from-standby", from_standby_, "the source is itself a standby, and that is meant")
        ->group(group);
  }

  void declare_copy(CLI::App& app) {
    const std::string group = "The copy";
    arguments_.declare_directory(app, group);
    app.add_flag("--replace", options_.replace, "rename a data directory that is there aside")->group(group);
    app.add_option("--move-old-to", options_.move_old_to,
                   "where the replaced data directory is kept: missing or empty")
        ->type_name("DIR")
        ->group(group);
    app.add_option("-F,--format", format_, "plain, the only one there is")
        ->type_name("p|plain")
        ->group(group);
    arguments_.declare_transfer(app, group);
    app.add_option("--waldir", options_.wal_directory, "folder for the WAL, with a link to it")
        ->type_name("DIR")
        ->group(group);
    app.add_option("-l,--label", options_.label, "label of the backup")->type_name("LABEL")->group(group);
    app.add_option("-X,--wal-method", wal_, "how the WAL comes: stream (the default), fetch or none")
        ->type_name("none|fetch|stream")
        ->group(group);
    app.add_flag("-P,--progress", progress_, "show progress (it is shown anyway)")->group(group);
    app.add_flag("-N,--no-sync", no_sync_, "do not wait until the copy is safely on the disk")->group(group);
    app.add_flag("-n,--no-clean", options_.keep_staging, "after an error, leave what was copied")
        ->group(group);
    app.add_flag("--abandon", abandon_, "remove what an unfinished copy has left, and the slot that it made")
        ->group(group);
    app.add_flag("--dry-run", dry_run_, "check, and print what would be done")->group(group);
  }

  void declare_standby(CLI::App& app) {
    const std::string group = "The standby";
    app.add_flag("-R,--write-recovery-conf", options_.write_recovery_settings,
                 "write standby.signal, primary_conninfo and primary_slot_name")
        ->group(group);
    arguments_.declare_standby(app, group);
  }

  Result<void> read_copy_options() {
    if (format_ != "p" && format_ != "plain") {
      return Error(ErrorCode::kUsage, fmt::format("format \"{}\" is not supported", format_),
                   "A clone is a data directory, which is -F plain. For a tar file use pg_basebackup.");
    }
    if (wal_ == "n" || wal_ == "none") {
      options_.wal = clone::WalMethod::kNone;
    } else if (wal_ == "f" || wal_ == "fetch") {
      options_.wal = clone::WalMethod::kFetch;
    } else if (wal_ != "s" && wal_ != "stream") {
      return Error(ErrorCode::kUsage,
                   fmt::format("WAL method \"{}\" is none of none, fetch and stream", wal_),
                   "Give -X stream, or leave -X out.");
    }
    options_.sync = !no_sync_;
    if (from_standby_) options_.from_standby = clone::FromStandby::kSaid;
    return base::ok();
  }

  Result<void> abandon(CommandContext& context, const clone::CloneEnvironment& environment) {
    const bool there = TRY(clone::abandon_copy(
        options_, environment, dry_run_ ? clone::AbandonMode::kDryRun : clone::AbandonMode::kApply));
    context.output.text(!there ? "no unfinished copy is there\n"
                        : dry_run_
                            ? "nothing was changed (--dry-run)\n"
                            : fmt::format("the unfinished copy of \"{}\" is given up\n", options_.target));
    context.output.json(
        {{"data_directory", options_.target}, {"was_there", there}, {"planned_only", dry_run_}});
    return base::ok();
  }

  Result<void> attempt(CommandContext& context, const clone::CloneEnvironment& environment) {
    if (abandon_) return abandon(context, environment);
    if (dry_run_) {
      const clone::ClonePlan plan = TRY(clone::plan_clone(options_, environment));
      context.output.text(text_of(plan));
      context.output.json(as_json(plan));
      return base::ok();
    }
    const clone::Claim claim = TRY(clone::claim_target(options_.target, environment));
    auto staged = TRY(clone::fetch_clone(options_, environment, claim));
    clone::CloneFacts facts = TRY(staged.put_in_place());
    if (const auto moved = TRY(clone::move_old_directory(claim, environment))) facts.moved_aside_to = moved;
    context.output.text(text_of(facts, context.program));
    context.output.json(as_json(facts, options_.target));
    return base::ok();
  }

  std::string text_of(const clone::ClonePlan& plan) const {
    std::string text = fmt::format("PostgreSQL {}, system identifier {}, timeline {}, WAL at {}\n",
                                   plan.server_version.to_string(), plan.system_id.to_string(),
                                   plan.timeline.value(), plan.wal_position.to_string());
    for (const std::string& line : clone::describe_places(plan)) text += line + "\n";
    return text + "nothing was changed (--dry-run)\n";
  }

  std::string text_of(const clone::CloneFacts& facts, const std::string& program) const {
    const double seconds = std::max(std::chrono::duration<double>(facts.elapsed).count(), 0.001);
    std::string text = fmt::format(
        "copied {} in {} files to \"{}\" in {} ({}/s)\n", base::format_bytes(facts.bytes), facts.files,
        options_.target, base::format_duration(facts.elapsed),
        base::format_bytes(static_cast<std::uint64_t>(static_cast<double>(facts.bytes) / seconds)));
    if (options_.wal != clone::WalMethod::kNone) {
      text += fmt::format("WAL from {} to {} on timeline {}\n", facts.start_lsn.to_string(),
                          facts.stop_lsn.to_string(), facts.timeline.value());
    }
    if (facts.manifest_checked) text += "every file matches the server's manifest\n";
    if (facts.agent) text += text_of_agent(*facts.agent);
    if (facts.slot_was_created) text += fmt::format("created replication slot \"{}\"\n", *facts.slot);
    if (facts.moved_aside_to) text += fmt::format("the directory before is \"{}\"\n", *facts.moved_aside_to);
    if (options_.write_recovery_settings)
      text += fmt::format("start it with: {} standby start -D {}\n", program, options_.target);
    return text;
  }

  clone::CloneOptions options_;
  CopyArguments arguments_{{
      .directory = "directory to put the copy into (or PGDATA)",
      .no_directory = "Say with -D where the copy is to be put.",
      .mapping = "OLDDIR=NEWDIR: put a tablespace elsewhere (repeatable)",
      .no_verify = "do not let the primary check its pages",
      .no_slot = "let nothing hold the WAL back during the copy",
  }};
  std::string wal_ = "stream";
  std::string format_ = "plain";
  bool no_sync_ = false;
  bool progress_ = false;
  bool from_standby_ = false;
  bool abandon_ = false;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> make_standby_clone_command() {
  return std::make_unique<StandbyCloneCommand>();
}

}  // namespace standfast::cli
