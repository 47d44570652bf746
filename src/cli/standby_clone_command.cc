// `standfast standby clone`: pg_basebackup's flags, natively, and never over what is there.
#include <array>
#include <cstdlib>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/commands.h"
#include "clone/clone.h"
#include "clone/rate.h"
#include "env/terminal.h"
#include "pg/server/cluster.h"
#include "pg/server/control.h"
#include "pg/server/installation.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kStopTimeout(120);
constexpr base::Seconds kLookTimeout(30);

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
    TRY(read_data_directory());
    TRY(read_copy_options());
    TRY(read_slot_options());
    TRY(read_connection());
    if (ask_password_ && never_ask_)
      return Error(ErrorCode::kUsage, "-w and -W contradict each other", "Leave one of them out.");
    if (ask_password_) options_.connect.password = TRY(env::ask_secret("Password: ", context.stop));
    return base::ok();
  }

  std::optional<OwnerRule> owner_rule() const override {
    return OwnerRule{.data_directory = options_.target, .existence = DataDirectory::kMayBeMissing};
  }

  Result<int> run(CommandContext& context) override {
    if (stop_) {
      options_.stop_server = [this, &context] { return stop_server(context); };
    }
    const clone::CloneEnvironment environment{context.files, context.stop, context.reporter};
    auto done = attempt(context, environment);
    if (!done && may_ask_after(done.error())) {
      options_.connect.password = TRY(env::ask_secret("Password: ", context.stop));
      done = attempt(context, environment);
    }
    TRY(std::move(done));
    return 0;
  }

 private:
  void declare_source(CLI::App& app) {
    const std::string group = "Where from";
    app.add_option("-d,--dbname", conninfo_, "connection string or URI of the primary")
        ->type_name("CONNINFO")
        ->group(group);
    app.add_option("-h,--host", host_, "host or socket directory of the primary")
        ->type_name("HOST")
        ->group(group);
    app.add_option("-p,--port", port_, "port of the primary")->type_name("PORT")->group(group);
    app.add_option("-U,--username", user_, "role with REPLICATION")->type_name("ROLE")->group(group);
    app.add_flag("--from-standby", from_standby_, "the source is itself a standby, and that is meant")
        ->group(group);
    app.add_flag("-w,--no-password", never_ask_, "never ask for a password")->group(group);
    app.add_flag("-W,--password", ask_password_, "ask for the password first")->group(group);
  }

  void declare_copy(CLI::App& app) {
    const std::string group = "The copy";
    app.add_option("-D,--pgdata", options_.target, "directory to put the copy into (or PGDATA)")
        ->type_name("DIR")
        ->group(group);
    app.add_flag("--replace", options_.replace, "rename a data directory that is there aside")->group(group);
    app.add_option("--move-old-to", options_.move_old_to,
                   "where the replaced data directory is kept: missing or empty")
        ->type_name("DIR")
        ->group(group);
    app.add_flag("--stop", stop_, "stop the server that runs there first")->group(group);
    app.add_option("--pg-bin", bin_directory_, "folder of PostgreSQL's programs, for --stop")
        ->type_name("DIR")
        ->group(group);
    app.add_option("-F,--format", format_, "plain, the only one there is")
        ->type_name("p|plain")
        ->group(group);
    app.add_option("-T,--tablespace-mapping", mappings_,
                   "OLDDIR=NEWDIR: put a tablespace elsewhere (repeatable)")
        ->type_name("OLDDIR=NEWDIR")
        ->take_all()
        ->allow_extra_args(false)
        ->group(group);
    app.add_option("--waldir", options_.wal_directory, "folder for the WAL, with a link to it")
        ->type_name("DIR")
        ->group(group);
    app.add_option("-c,--checkpoint", checkpoint_, "fast, or spread (the default)")
        ->type_name("fast|spread")
        ->group(group);
    app.add_option("-l,--label", options_.label, "label of the backup")->type_name("LABEL")->group(group);
    app.add_option("-r,--max-rate", rate_, "transfer at most RATE (kB/s, or with suffix k or M)")
        ->type_name("RATE")
        ->group(group);
    app.add_option("-X,--wal-method", wal_, "how the WAL comes: stream (the default), fetch or none")
        ->type_name("none|fetch|stream")
        ->group(group);
    app.add_flag("-P,--progress", progress_, "show progress (it is shown anyway)")->group(group);
    app.add_flag("-N,--no-sync", no_sync_, "do not wait until the copy is safely on the disk")->group(group);
    app.add_flag("-n,--no-clean", options_.keep_staging, "after an error, leave what was copied")
        ->group(group);
    app.add_flag("-k,--no-verify-checksums", no_verify_, "do not let the primary check its pages")
        ->group(group);
    app.add_flag("--dry-run", dry_run_, "check, and print what would be done")->group(group);
  }

  void declare_standby(CLI::App& app) {
    const std::string group = "The standby";
    app.add_flag("-R,--write-recovery-conf", options_.write_recovery_settings,
                 "write standby.signal, primary_conninfo and primary_slot_name")
        ->group(group);
    app.add_option("-S,--slot", options_.slot, "replication slot of the standby")
        ->type_name("SLOT")
        ->group(group);
    app.add_flag("-C,--create-slot", create_slot_, "create that slot")->group(group);
    app.add_flag("--no-slot", no_slot_, "let nothing hold the WAL back during the copy")->group(group);
    app.add_option("--name", options_.application_name, "application_name of the standby, if not the slot's")
        ->type_name("NAME")
        ->group(group);
  }

  Result<void> read_data_directory() {
    if (const char* from_environment = std::getenv("PGDATA");
        options_.target.empty() && from_environment != nullptr)
      options_.target = from_environment;
    if (options_.target.empty()) {
      return Error(ErrorCode::kUsage, "no data directory was given",
                   "Say with -D where the copy is to be put.");
    }
    options_.target = env::absolute_path(options_.target);
    return base::ok();
  }

  Result<void> read_copy_options() {
    if (format_ != "p" && format_ != "plain") {
      return Error(ErrorCode::kUsage, fmt::format("format \"{}\" is not supported", format_),
                   "A clone is a data directory, which is -F plain. For a tar file use pg_basebackup.");
    }
    for (const std::string& text : mappings_)
      options_.tablespace_mappings.push_back(TRY(clone::parse_tablespace_mapping(text)));
    if (!rate_.empty()) options_.max_rate_bytes_per_second = TRY(clone::parse_max_rate(rate_));
    const std::string checkpoint = CLI::detail::to_lower(checkpoint_);
    if (checkpoint != "fast" && checkpoint != "spread")
      return Error(ErrorCode::kUsage,
                   fmt::format("checkpoint \"{}\" is neither fast nor spread", checkpoint_),
                   "Give -c fast or -c spread.");
    options_.checkpoint = checkpoint == "fast" ? clone::Checkpoint::kFast : clone::Checkpoint::kSpread;
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
    options_.verify_checksums = !no_verify_;
    return base::ok();
  }

  Result<void> read_slot_options() {
    if (create_slot_ && no_slot_)
      return Error(ErrorCode::kUsage, "-C and --no-slot contradict each other", "Leave one of them out.");
    if (create_slot_) options_.slot_use = clone::SlotUse::kCreate;
    if (no_slot_) options_.slot_use = clone::SlotUse::kNone;
    return base::ok();
  }

  Result<void> read_connection() {
    client::ConnectOptions& connect = options_.connect;
    if (!conninfo_.empty()) {
      TRY(client::parse_conninfo(conninfo_));
      connect.set("dbname", conninfo_);
      connect.expand_dbname = true;
    }
    if (!host_.empty()) connect.set("host", host_);
    if (!port_.empty()) connect.set("port", port_);
    if (!user_.empty()) connect.set("user", user_);
    return base::ok();
  }

  bool may_ask_after(const Error& error) const {
    const bool wants_password = error.code == ErrorCode::kAuthentication &&
                                error.message.find("no password supplied") != std::string::npos;
    return wants_password && !never_ask_ && !options_.connect.password && env::can_ask();
  }

  Result<void> attempt(CommandContext& context, const clone::CloneEnvironment& environment) {
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
    if (facts.slot_was_created) text += fmt::format("created replication slot \"{}\"\n", *facts.slot);
    if (facts.moved_aside_to) text += fmt::format("the directory before is \"{}\"\n", *facts.moved_aside_to);
    if (options_.write_recovery_settings)
      text += fmt::format("start it with: {} standby start -D {}\n", program, options_.target);
    return text;
  }

  Result<void> stop_server(CommandContext& context) const {
    const auto cluster = TRY(server::Cluster::open(context.files, options_.target));
    server::InstallationQuery query;
    if (bin_directory_.empty()) {
      query.major = cluster.major();
    } else {
      query.bin_directory = bin_directory_;
    }
    const env::Wait look = env::Wait::for_at_most(kLookTimeout, &context.stop);
    const auto installation = TRY(server::find_installation(context.files, query, look));
    auto control = TRY(server::ServerControl::choose(context.files, cluster, installation, context.root));
    context.reporter.info(fmt::format("stop the server in \"{}\"", options_.target));
    return control.stop(server::StopMode::kFast, env::Wait::for_at_most(kStopTimeout, &context.stop));
  }

  clone::CloneOptions options_;
  std::string conninfo_, host_, port_, user_;
  std::string checkpoint_ = "spread";
  std::string wal_ = "stream";
  std::string format_ = "plain";
  std::string rate_;
  std::string bin_directory_;
  std::vector<std::string> mappings_;
  bool ask_password_ = false;
  bool never_ask_ = false;
  bool create_slot_ = false;
  bool no_slot_ = false;
  bool no_sync_ = false;
  bool no_verify_ = false;
  bool stop_ = false;
  bool progress_ = false;
  bool from_standby_ = false;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> make_standby_clone_command() {
  return std::make_unique<StandbyCloneCommand>();
}

}  // namespace standfast::cli
