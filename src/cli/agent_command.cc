// `standfast agent`: what a host serves to the other members of its cluster.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "agent/agent_config.h"
#include "agent/agent_lock.h"
#include "agent/background_agent.h"
#include "agent/daemon.h"
#include "cli/commands.h"
#include "cli/hangup_fd.h"
#include "cli/which_cluster.h"
#include "env/process.h"
#include "env/service_manager.h"

namespace standfast::cli {
namespace {

using agent::AgentConfig;
using agent::AgentOptions;
using agent::MembershipFiles;
using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::string_view kDefaultConfig = "/etc/standfast/standfast.toml";
constexpr base::Seconds kStartPatience(60);
constexpr base::Seconds kStopPatience(60);

std::optional<std::string> given(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

class AgentCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("-D,--pgdata", data_directory_,
                   "data directory of the cluster to serve (or the configuration's, or PGDATA; default: the "
                   "one cluster of this host)")
        ->type_name("DIR");
    app.add_option("--listen", listen_,
                   fmt::format("address to serve on, with a port if it is not {}; may be repeated",
                               agent::kDefaultAgentPort))
        ->type_name("HOST[:PORT]");
    app.add_option("-c,--config", config_argument_,
                   fmt::format("configuration file (default: {} if it is there)", kDefaultConfig))
        ->type_name("FILE");
    app.add_option("-U,--username", superuser_,
                   "superuser to begin backups as (default: the operating system user)")
        ->type_name("ROLE");
    app.add_option("--maintenance-db", database_, "database to log in to for a backup (postgres)")
        ->type_name("DBNAME");
    app.add_flag("--background", is_background_, "start it and return when it listens");
    app.add_option("--log", log_file_,
                   "with --background: file to add what it says to (default: agent.log beside the "
                   "certificate of this host)")
        ->type_name("FILE");
    app.add_flag("--stop", is_stop_, "end the agent of that cluster");
  }

  Result<void> prepare(CommandContext& context) override {
    TRY(check_flags());
    if (env::effective_user() == 0) {
      return Error(ErrorCode::kPermission, "an agent never runs as root",
                   "Run it as the owner of the data directory: sudo -u postgres standfast agent ...");
    }
    TRY(choose_config_file(context));
    config_ = TRY(read_config(context.files));
    // What is named by -D or the configuration wins over PGDATA.
    config_.data_directory =
        TRY(take_data_directory(config_.data_directory.value_or(""), std::nullopt, context));
    return base::ok();
  }

  std::optional<OwnerRule> owner_rule() const override {
    return OwnerRule{.data_directory = *config_.data_directory, .what_runs = "an agent"};
  }

  Result<int> run(CommandContext& context) override {
    auto cluster = TRY(server::Cluster::open(context.files, *config_.data_directory));
    auto store = TRY(client::SecretStore::locate(context.files));
    const MembershipFiles membership(store, TRY(cluster.control_file()).system_id);
    if (is_stop_) return stop(context, membership);
    auto options = TRY(agent::options_of(config_, TRY(membership.read_places())));
    if (is_background_) return start(context, membership);
    env::forget_postgres_environment();  // it knows its server by the data directory
    const env::ServiceManager manager = env::ServiceManager::from_environment();
    const HangupFd hangup;
    const agent::AgentStart start{
        .cluster = std::move(cluster), .store = std::move(store), .options = std::move(options)};
    TRY(agent::run_agent(context.files, context.reporter, context.stop, start,
                         events(context, manager, membership, hangup.fd())));
    context.output.json({{"ended", true}});
    return 0;
  }

 private:
  Result<void> check_flags() const {
    if (is_stop_ && (is_background_ || !listen_.empty())) {
      return Error(ErrorCode::kUsage, "--stop goes with neither --background nor --listen",
                   "Leave them out.");
    }
    if (!log_file_.empty() && !is_background_) {
      return Error(ErrorCode::kUsage, "--log is for --background", "Redirect what it says instead.");
    }
    return base::ok();
  }

  Result<void> choose_config_file(CommandContext& context) {
    if (!config_argument_.empty()) {
      config_file_ = env::absolute_path(config_argument_);
    } else if (TRY(context.files.inspect_following(std::string(kDefaultConfig)))) {
      config_file_ = kDefaultConfig;
    }
    return base::ok();
  }

  Result<AgentConfig> read_config(env::FileSystem& files) const {
    const AgentConfig flags{.data_directory = given(data_directory_),
                            .listen = listen_,
                            .superuser = given(superuser_),
                            .database = given(database_)};
    if (!config_file_) return flags;
    const std::string real = TRY(files.real_path(*config_file_));
    const std::string text = TRY(env::read_whole_file(files, real, agent::kMaxAgentConfigBytes));
    return agent::merge(TRY(agent::parse_agent_config(text, *config_file_)), flags);
  }

  Result<int> stop(CommandContext& context, const MembershipFiles& membership) const {
    const bool was_there = TRY(agent::stop_agent(context.files, membership.folder(),
                                                 env::Wait::for_at_most(kStopPatience, &context.stop)));
    context.reporter.info(was_there ? "the agent has ended" : "no agent of this cluster runs here");
    context.output.json({{"was_running", was_there}});
    return 0;
  }

  Result<int> start(CommandContext& context, const MembershipFiles& membership) const {
    agent::BackgroundAgent wanted{.data_directory = *config_.data_directory, .listen = listen_};
    const auto add = [&wanted](std::string_view option, const std::optional<std::string>& value) {
      if (value) wanted.arguments.insert(wanted.arguments.end(), {std::string(option), *value});
    };
    add("--config", config_file_);
    add("--username", given(superuser_));
    add("--maintenance-db", given(database_));
    wanted.log_file = log_file_.empty() ? agent::agent_log_file(membership) : env::absolute_path(log_file_);
    const pid_t pid = TRY(agent::start_agent(context.files, membership, wanted,
                                             env::Wait::for_at_most(kStartPatience, &context.stop)));
    context.reporter.info(fmt::format("the agent listens: process {}, which writes what it says to \"{}\"",
                                      pid, wanted.log_file));
    context.output.json({{"process", pid}, {"log", wanted.log_file}});
    return 0;
  }

  agent::AgentEvents events(CommandContext& context, const env::ServiceManager& manager,
                            const MembershipFiles& membership, int reload_fd) const {
    agent::AgentEvents events;
    events.on_ready = [&manager] { manager.ready(); };
    events.on_reloading = [&manager] { manager.reloading(); };
    events.on_stopping = [&manager] { manager.stopping(); };
    events.on_status = [&manager](const std::string& line) { manager.status(line); };
    events.read_options = [this, &context, &membership]() -> Result<AgentOptions> {
      const AgentConfig config = TRY(read_config(context.files));
      return agent::options_of(config, TRY(membership.read_places()));
    };
    events.reload_fd = reload_fd;
    return events;
  }

  std::string data_directory_, config_argument_, superuser_, database_, log_file_;
  std::vector<std::string> listen_;
  bool is_background_ = false;
  bool is_stop_ = false;
  std::optional<std::string> config_file_;
  AgentConfig config_;
};

}  // namespace

std::unique_ptr<Command> make_agent_command() {
  return std::make_unique<AgentCommand>();
}

}  // namespace standfast::cli
