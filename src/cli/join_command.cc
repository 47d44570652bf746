#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/agent_arguments.h"
#include "cli/agent_view.h"
#include "cli/commands.h"
#include "cli/copy_view.h"
#include "cli/secret_input.h"
#include "cli/verify_view.h"
#include "cli/which_cluster.h"
#include "clone/rate.h"
#include "setup/agent_place.h"
#include "setup/join.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

class JoinCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option(
           "-D,--pgdata", place_.data_directory,
           "data directory of the standby (or PGDATA; default: the place of Debian's or PGDG's packages)")
        ->type_name("DIR");
    app.add_option("--cluster", place_.cluster, "make it Debian's cluster N/NAME, as pg_createcluster does")
        ->type_name("N/NAME");
    app.add_option("--token-file", token_file_,
                   "file with the token, - for standard input (default: it is asked for)")
        ->type_name("FILE");
    app.add_flag("--from-standby", from_standby_,
                 "the token is a standby's: this standby is to follow that standby");
    app.add_flag("--replace", replace_, "rename a data directory that is there aside");
    app.add_option("--move-old-to", options_.move_old_to,
                   "where the replaced data directory is kept: missing or empty")
        ->type_name("DIR");
    app.add_flag("--stop", stop_, "stop the server that runs there first");
    app.add_option("-p,--port", options_.port, "port of the standby, if not the primary's")
        ->type_name("PORT");
    app.add_option("--listen", options_.listen_addresses, "listen_addresses of the standby")
        ->type_name("LIST");
    app.add_option("--socket-directory", options_.socket_directory, "unix_socket_directories of the standby")
        ->type_name("DIR");
    app.add_option("--name", options_.application_name, "application_name of the standby, if not the slot's")
        ->type_name("NAME");
    app.add_option("-T,--tablespace-mapping", mappings_, "put a tablespace elsewhere; again for each")
        ->type_name("OLDDIR=NEWDIR");
    app.add_option("--waldir", options_.wal_directory, "folder for the WAL, with a link to it")
        ->type_name("DIR");
    app.add_option("-c,--checkpoint", checkpoint_, "fast (the default), or spread")
        ->check(CLI::IsMember({"fast", "spread"}).description(""))
        ->type_name("fast|spread");
    app.add_option("-r,--max-rate", rate_, "transfer at most RATE (kB/s, or with suffix k or M)")
        ->type_name("RATE");
    agent_.declare(app, "", AgentArguments::Place::kKnown);
    app.add_option("--pg-bin", options_.bin_directory, "folder of PostgreSQL's programs")->type_name("DIR");
    app.add_option("-t,--timeout", timeout_seconds_, "how long to wait for the standby to come up (600)")
        ->type_name("SECONDS");
    const CLI::Option* own_agent =
        app.add_option("--agent", own_agent_,
                       "start an agent on this host as well (default: on the address that it has towards the "
                       "primary, port 7432)")
            ->type_name("ADDR[:PORT]")
            ->expected(0, 1);
    app.parse_complete_callback([this, own_agent] {
      if (own_agent->count() > 0) options_.own_agent = own_agent_;
    });
    app.add_flag("--dry-run", dry_run_, "check everything and print what would be done");
  }

  Result<void> prepare(CommandContext& context) override {
    for (const std::string& text : mappings_)
      options_.tablespace_mappings.push_back(TRY(clone::parse_tablespace_mapping(text)));
    if (rate_) options_.max_rate_bytes_per_second = TRY(clone::parse_max_rate(*rate_));
    options_.agent = TRY(agent_.read());
    if (options_.own_agent) TRY(setup::parse_agent_wish(*options_.own_agent));
    if (timeout_seconds_ < 1) return Error(ErrorCode::kUsage, "--timeout must be at least 1 second");
    options_.start_timeout = base::Seconds(timeout_seconds_);
    place_.bin_directory = options_.bin_directory;
    auto place = TRY(take_new_place(place_, server::OnSeveralMajors::kRefuse, context));
    options_.data_directory = env::absolute_path(place.data_directory);
    options_.debian = std::move(place.debian);
    const SecretQuestion question{
        .file = token_file_, .prompt = "token: ", .what = "token", .option = "--token-file"};
    options_.token = TRY(pg::decode_token(TRY(take_secret(question, context)).reveal()));
    if (options_.token.kind == pg::TokenKind::kWitness) {
      return Error(
          ErrorCode::kToken,
          fmt::format("this is the token of the witness \"{}\", not of a standby", options_.token.slot),
          "Start the witness with it: standfast witness --token-file FILE. A standby's token comes "
          "from \"standfast primary setup --standby ADDR\".");
    }
    return base::ok();
  }

  std::optional<OwnerRule> owner_rule() const override {
    return OwnerRule{.data_directory = options_.data_directory,
                     .existence = DataDirectory::kMayBeMissing,
                     .agent = options_.own_agent ? AgentLeave::kGiven : AgentLeave::kRefused};
  }

  Result<int> run(CommandContext& context) override {
    options_.checkpoint = checkpoint_ == "spread" ? clone::Checkpoint::kSpread : clone::Checkpoint::kFast;
    options_.on_old_directory = replace_ ? setup::OnOldDirectory::kMoveAside : setup::OnOldDirectory::kRefuse;
    options_.on_running_server = stop_ ? setup::OnRunningServer::kStop : setup::OnRunningServer::kRefuse;
    if (from_standby_) options_.from_standby = clone::FromStandby::kSaid;
    options_.mode = dry_run_ ? setup::RunMode::kDryRun : setup::RunMode::kApply;
    const setup::SetupEnvironment environment{
        .files = context.files, .stop = context.stop, .reporter = context.reporter, .root = context.root};
    const setup::JoinOutcome outcome = TRY(setup::run_join(options_, environment));
    context.output.json(as_json(outcome));
    if (outcome.planned_only) {
      context.output.text("\nnothing was changed (--dry-run)\n");
      return 0;
    }
    context.output.text(text_of(outcome, context.program));
    if (outcome.agent && outcome.agent->failure) return base::exit_code_of(outcome.agent->failure->code);
    return 0;
  }

 private:
  std::string text_of(const setup::JoinOutcome& outcome, const std::string& program) const {
    std::string source = fmt::format("{} port {}", options_.token.host, options_.token.port);
    if (outcome.follows_standby_of) source += ", which is a standby itself";
    std::string text =
        fmt::format("\n{} is {} a hot standby of {}, and what is written there arrives here.\n",
                    options_.data_directory, outcome.was_a_standby_already ? "already" : "now", source);
    if (outcome.was_a_standby_already) text += "Nothing was copied and no setting was changed.\n";
    return text + fmt::format("  status:  {0} status -D {1}\n  start:   {2}\n", program,
                              options_.data_directory, outcome.start_command);
  }

  nlohmann::ordered_json as_json(const setup::JoinOutcome& outcome) const {
    nlohmann::ordered_json json;
    json["data_directory"] = options_.data_directory;
    json["primary"] = {{"host", options_.token.host}, {"port", options_.token.port}};
    json["from_standby"] = outcome.follows_standby_of.has_value();
    if (outcome.follows_standby_of && !outcome.follows_standby_of->empty())
      json["upstream_of_that_standby"] = *outcome.follows_standby_of;
    json["slot"] = options_.token.slot;
    json["system_identifier"] = options_.token.system_id.to_string();
    json["dry_run"] = outcome.planned_only;
    json["was_a_standby_already"] = outcome.was_a_standby_already;
    if (outcome.copy) {
      const clone::CloneFacts& copy = *outcome.copy;
      json["copy"] = {{"bytes", copy.bytes},
                      {"files", copy.files},
                      {"start_lsn", copy.start_lsn.to_string()},
                      {"stop_lsn", copy.stop_lsn.to_string()},
                      {"timeline", copy.timeline.value()},
                      {"manifest_checked", copy.manifest_checked},
                      {"milliseconds", std::chrono::duration_cast<base::Milliseconds>(copy.elapsed).count()}};
      if (copy.agent) json["copy"]["agent"] = agent_as_json(*copy.agent);
      if (copy.moved_aside_to) json["moved_aside_to"] = *copy.moved_aside_to;
    }
    if (outcome.member) json["member"] = *outcome.member;
    if (outcome.agent) json["agent"] = agent_as_json(*outcome.agent);
    json["settings_taken_out"] = outcome.settings_taken_out;
    json["settings_given"] = outcome.settings_given;
    if (outcome.proof) json["verify"] = verify_as_json(*outcome.proof);
    return json;
  }

  setup::JoinOptions options_;
  AgentArguments agent_;
  NewClusterArguments place_;
  std::optional<std::string> token_file_;
  std::optional<std::string> rate_;
  std::string own_agent_;
  std::vector<std::string> mappings_;
  std::string checkpoint_ = "fast";
  int timeout_seconds_ = 600;
  bool replace_ = false;
  bool stop_ = false;
  bool from_standby_ = false;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> make_join_command() {
  return std::make_unique<JoinCommand>();
}

}  // namespace standfast::cli
