// `standfast witness`: a primary's WAL received, kept and served in one process.
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/hangup_fd.h"
#include "cli/lsn_argument.h"
#include "cli/secret_input.h"
#include "env/process.h"
#include "env/service_manager.h"
#include "env/terminal.h"
#include "pg/format/token.h"
#include "setup/witness_setup.h"
#include "witness/config.h"
#include "witness/witness.h"
#include "witness/witness_options.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using witness::WitnessConfig;

constexpr std::string_view kDefaultConfig = "/etc/standfast/witness.toml";

std::optional<std::string> given(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

/// A configuration that is written is read from another working directory.
std::optional<std::string> given_path(const std::string& path) {
  return path.empty() ? std::nullopt : std::optional(env::absolute_path(path));
}

template <typename Number>
Result<std::optional<Number>> measure(const std::string& text, std::string_view option,
                                      std::optional<Number> (*parse)(std::string_view),
                                      std::string_view example) {
  if (text.empty()) return std::optional<Number>();
  if (const auto value = parse(text)) return std::optional<Number>(*value);
  return Error(ErrorCode::kUsage, fmt::format("{} \"{}\" is not understood", option, text),
               fmt::format("Write it as {}.", example));
}

Result<WitnessConfig> read_config_file(env::FileSystem& files, const std::string& path) {
  const std::string real = TRY(files.real_path(path));
  return witness::parse_witness_config(TRY(env::read_whole_file(files, real, witness::kMaxConfigBytes)),
                                       path);
}

class WitnessCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("-c,--config", config_argument_,
                   fmt::format("configuration file (default: {} if it is there, else the one that an earlier "
                               "start with a token wrote)",
                               kDefaultConfig))
        ->type_name("FILE");
    declare_primary(app);
    declare_store(app);
    declare_serving(app);
    app.add_flag("--dry-run", dry_run_, "check everything and print what a start with the token would write");
  }

  Result<void> prepare(CommandContext& context) override {
    flags_ = TRY(read_flags());
    accept_fork_ = TRY(parse_lsn_argument("--accept-fork", accept_fork_argument_));
    TRY(choose_config_file(context));
    TRY(take_token(context));
    if (config_file_ && TRY(is_config_there(context))) {
      config_ = TRY(read_config_file(context.files, *config_file_));
    }
    config_ = witness::merge(config_, flags_);
    TRY(witness::options_of(token_ ? as_set_up(config_) : config_));
    if (!dry_run_ || token_) return base::ok();
    return Error(ErrorCode::kUsage, "--dry-run is for a start with a token", "Add --token-file FILE.");
  }

  std::optional<OwnerRule> owner_rule() const override {
    return OwnerRule{.data_directory = *config_.folder,
                     .existence = DataDirectory::kMayBeMissing,
                     .on_hangup = OnHangup::kPassOn,
                     .what_runs = "a witness"};
  }

  Result<int> run(CommandContext& context) override {
    const env::ServiceManager manager = env::ServiceManager::from_environment();
    if (token_) {
      const auto outcome = TRY(set_up(context));
      if (dry_run_) return 0;
      config_ = outcome.config;
      config_file_ = outcome.config_file;
      flags_ = {};  // they are in that file, which can be edited
      context.reporter.info(
          fmt::format("it needs no token any more: {} witness -c {}", context.program, *config_file_));
    }
    const HangupFd hangup;
    const auto positions =
        TRY(witness::run_witness(context.files, context.reporter, context.stop, {config_, accept_fork_},
                                 events(context, manager, hangup.fd())));
    context.output.json({{"timeline", positions.timeline.value()},
                         {"received", positions.written.to_string()},
                         {"acknowledged", positions.acknowledged.to_string()}});
    return 0;
  }

 private:
  void declare_primary(CLI::App& app) {
    const std::string group = "The primary";
    app.add_option("--token-file", token_file_,
                   "file with the token of primary setup --witness, - for standard input; the first start "
                   "needs it, or all of the following and --users")
        ->type_name("FILE")
        ->group(group);
    app.add_option("-d,--dbname", conninfo_, "connection string or URI of the primary")
        ->type_name("CONNINFO")
        ->group(group);
    app.add_option("--name", name_, "what the primary knows it by in synchronous_standby_names")
        ->type_name("NAME")
        ->group(group);
    app.add_option("-S,--slot", slot_, "replication slot on the primary (the name)")
        ->type_name("NAME")
        ->group(group);
    app.add_option("--accept-fork", accept_fork_argument_,
                   "follow a timeline that begins here although WAL behind it was acknowledged")
        ->type_name("LSN")
        ->group(group);
  }

  void declare_store(CLI::App& app) {
    const std::string group = "The WAL";
    app.add_option("-D,--directory", folder_,
                   "folder to keep the WAL in; with a token it is made if it is missing")
        ->type_name("DIR")
        ->group(group);
    app.add_option("--keep-size", keep_size_, "WAL that is kept whether anybody needs it or not (1GB)")
        ->type_name("SIZE")
        ->group(group);
    app.add_option("--keep-time", keep_time_, "for how long WAL is kept at least (0s)")
        ->type_name("TIME")
        ->group(group);
    app.add_option("--slot-keep-size", slot_keep_size_,
                   "WAL that a standby's slot may hold back (half of the file system); 0B: any amount")
        ->type_name("SIZE")
        ->group(group);
  }

  void declare_serving(CLI::App& app) {
    const std::string group = "Who may connect";
    app.add_option("--listen", listen_,
                   fmt::format("address to serve on, with a port if it is not {}; may be repeated",
                               witness::kDefaultWitnessPort))
        ->type_name("HOST[:PORT]")
        ->group(group);
    app.add_option("--users", users_,
                   "file with a line for each role that may log in, ROLE:VERIFIER as in pg_authid (with a "
                   "token: one with the replication role is made)")
        ->type_name("FILE")
        ->group(group);
    app.add_option("--tls-cert", certificate_,
                   "certificate to show, then those above it, PEM (with a token: a self-signed one is made)")
        ->type_name("FILE")
        ->group(group);
    app.add_option("--tls-key", key_, "its key; mode 0600")->type_name("FILE")->group(group);
    app.add_flag("--allow-cleartext", allow_cleartext_, "let other hosts log in without TLS")->group(group);
  }

  Result<WitnessConfig> read_flags() const {
    WitnessConfig flags;
    flags.conninfo = given(conninfo_);
    flags.name = given(name_);
    flags.slot = given(slot_);
    flags.folder = given_path(folder_);
    flags.keep_bytes = TRY(measure(keep_size_, "--keep-size", witness::parse_size, "10GB"));
    flags.keep_seconds = TRY(measure(keep_time_, "--keep-time", witness::parse_time, "7d"));
    flags.slot_keep_bytes = TRY(measure(slot_keep_size_, "--slot-keep-size", witness::parse_size, "50GB"));
    flags.listen = listen_;
    flags.users = given_path(users_);
    flags.tls_certificate = given_path(certificate_);
    flags.tls_key = given_path(key_);
    if (allow_cleartext_) flags.allow_cleartext = true;
    return flags;
  }

  /// Root has no store of its own to look into: it becomes the owner of a folder that is still to be found.
  Result<void> choose_config_file(CommandContext& context) {
    if (!config_argument_.empty()) {
      config_file_ = env::absolute_path(config_argument_);
    } else if (TRY(context.files.inspect_following(std::string(kDefaultConfig)))) {
      config_file_ = kDefaultConfig;
    } else if (!flags_.conninfo && !token_file_ && env::effective_user() != 0) {
      config_file_ = TRY(setup::find_witness_configuration(context.files));
    }
    return base::ok();
  }

  /// One that is named has to be there, unless a token is there to write it from.
  Result<bool> is_config_there(CommandContext& context) const {
    return !token_ || TRY(context.files.inspect_following(*config_file_)).has_value();
  }

  /// On a terminal it is asked for where nothing else says which primary is meant, as join does.
  Result<void> take_token(CommandContext& context) {
    const bool says_nothing = !config_file_ && !flags_.conninfo;
    const bool may_ask = says_nothing && env::is_terminal(STDIN_FILENO) && env::can_ask();
    if (!token_file_ && !may_ask) return base::ok();
    const SecretQuestion question{
        .file = token_file_, .prompt = "token: ", .what = "token", .option = "--token-file"};
    token_ = TRY(pg::decode_token(TRY(take_secret(question, context)).reveal()));
    return setup::refuse_token_of_standby(*token_);
  }

  /// As far as it takes to judge the rest before anything is written.
  WitnessConfig as_set_up(WitnessConfig config) const {
    config.name = token_->slot;
    config.conninfo = "";
    if (!config.users) config.users = "";
    return config;
  }

  Result<setup::WitnessSetupOutcome> set_up(CommandContext& context) const {
    const setup::WitnessSetupOptions options{
        .token = *token_,
        .flags = flags_,
        .config_file = config_file_,
        .mode = dry_run_ ? setup::RunMode::kDryRun : setup::RunMode::kApply};
    const setup::SetupEnvironment environment{
        .files = context.files, .stop = context.stop, .reporter = context.reporter, .root = context.root};
    auto outcome = TRY(setup::set_up_witness(options, environment));
    if (!dry_run_) return outcome;
    context.output.json(
        {{"dry_run", true}, {"config_file", outcome.config_file}, {"changes", outcome.changes}});
    std::string text = outcome.changes.empty() ? "nothing to write\n" : "what would be written:\n";
    for (const std::string& line : outcome.changes) text += "  " + line + "\n";
    context.output.text(text + "nothing was changed (--dry-run)\n");
    return outcome;
  }

  witness::WitnessEvents events(CommandContext& context, const env::ServiceManager& manager,
                                int reload_fd) const {
    witness::WitnessEvents events;
    events.on_ready = [&manager] { manager.ready(); };
    events.on_reloading = [&manager] { manager.reloading(); };
    events.on_stopping = [&manager] { manager.stopping(); };
    events.on_status = [&manager](const std::string& line) { manager.status(line); };
    events.read_config = [this, &context]() -> Result<WitnessConfig> {
      if (!config_file_) return config_;
      return witness::merge(TRY(read_config_file(context.files, *config_file_)), flags_);
    };
    events.reload_fd = reload_fd;
    return events;
  }

  std::string config_argument_, conninfo_, name_, slot_, accept_fork_argument_, folder_;
  std::string keep_size_, keep_time_, slot_keep_size_;
  std::optional<pg::Lsn> accept_fork_;
  std::string users_, certificate_, key_;
  std::vector<std::string> listen_;
  std::optional<std::string> token_file_;
  bool allow_cleartext_ = false;
  bool dry_run_ = false;

  WitnessConfig flags_;
  WitnessConfig config_;
  std::optional<std::string> config_file_;  ///< none: flags say it all
  std::optional<pg::Token> token_;
};

}  // namespace

std::unique_ptr<Command> make_witness_command() {
  return std::make_unique<WitnessCommand>();
}

}  // namespace standfast::cli
