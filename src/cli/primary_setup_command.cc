// `standfast primary setup`: makes a server a primary that the named standbys may copy and follow.
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/commands.h"
#include "cli/primary_setup_view.h"
#include "cli/secret_input.h"
#include "cli/which_cluster.h"
#include "env/terminal.h"
#include "net/listener.h"
#include "pg/client/certificate_chain.h"
#include "pg/format/hba_file.h"
#include "setup/agent_place.h"
#include "setup/primary_plan.h"
#include "setup/primary_setup.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using setup::PrimaryMember;
using setup::PrimarySetupOutcome;
using setup::PrimaryVerdict;

/// A terminal's line ends at 4095 bytes, whatever is pasted.
constexpr std::size_t kMaxPastedBytes = 4000;

/// A single address as a person writes it.
std::string without_prefix(const std::string& cidr) {
  const bool is_single = cidr.ends_with(cidr.find(':') == std::string::npos ? "/32" : "/128");
  return is_single ? cidr.substr(0, cidr.find('/')) : cidr;
}

class PrimarySetupCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("-D,--pgdata", place_.data_directory,
                   "data directory of the primary (or PGDATA; default: the one cluster of this host)")
        ->type_name("DIR");
    app.add_option("--standby", options_.standbys,
                   "address of a standby, IPv4 or IPv6; again for each. Without it: those of earlier runs")
        ->type_name("ADDR")
        ->take_all();
    app.add_option("--witness", options_.witnesses,
                   "address of a witness, which keeps the WAL and has no database; :PORT is where it serves "
                   "(5433), =NAME its name and slot (default: witnessN); again for each")
        ->type_name("ADDR[:PORT][=NAME]")
        ->take_all();
    app.add_option("--remove-witness", options_.remove_witnesses,
                   "take out what was made for a witness that is gone for good, and do nothing else; again "
                   "for each")
        ->type_name("NAME")
        ->take_all();
    app.add_option("-S,--slot", options_.slot,
                   "name of the slot, for a single --standby (default: pgstandbyN)")
        ->type_name("NAME");
    declare_server(app);
    declare_roles(app);
    declare_new_cluster(app);
    app.add_option("--advertise", options_.advertised_host,
                   "host name or address the standby connects to (default: this host's address towards it)")
        ->type_name("HOST");
    app.add_option("--ca-file", ca_file_,
                   "certificate (PEM) of the CA that issued the server's, where the server does not send it")
        ->type_name("FILE");
    declare_agent(app);
    app.add_flag("--from-standby", from_standby_,
                 "this server is itself a standby, and the new one is to follow it");
    app.add_flag("--open-firewall", open_firewall_,
                 "let them through firewalld or ufw, as root (default: print the command)");
    app.add_flag("--no-token", no_token_, "print how to make the standby by hand instead of a token");
    app.add_flag("--dry-run", dry_run_, "print what would be done, and do nothing");
  }

  Result<void> prepare(CommandContext& context) override {
    TRY(choose_cluster(context));
    if (ask_password_ || !password_file_.empty()) TRY(take_password(context));
    if (!ca_file_.empty()) options_.ca_pem = TRY(read_ca_file(context));
    if (restart_) options_.restart = setup::RestartLeave::kGiven;
    if (rotate_) options_.rotation = setup::PasswordRotation::kYes;
    if (open_firewall_) options_.firewall = setup::FirewallWish::kOpen;
    if (no_token_) options_.token = setup::TokenWish::kManual;
    if (from_standby_) options_.on_standby = setup::OnStandby::kServe;
    if (dry_run_) options_.mode = setup::RunMode::kDryRun;
    if (options_.agent) TRY(setup::parse_agent_wish(*options_.agent));
    return base::ok();
  }

  std::optional<OwnerRule> owner_rule() const override {
    OwnerRule rule;
    rule.data_directory = options_.data_directory;
    rule.existence = init_ ? DataDirectory::kMayBeMissing : DataDirectory::kMustExist;
    if (options_.agent) {
      rule.agent = AgentLeave::kGiven;
      rule.firewall_ports = 2;
    }
    if (!open_firewall_) return rule;
    for (const std::string& standby : options_.standbys) {
      // What is no address is refused later, with its reason.
      if (const auto parsed = pg::parse_standby_address(standby))
        rule.firewall_addresses.push_back(parsed->cidr);
    }
    for (const std::string& witness : options_.witnesses) {
      if (const auto parsed = setup::parse_witness(witness))
        rule.firewall_addresses.push_back(parsed->address.cidr);
    }
    return rule;
  }

  Result<int> run(CommandContext& context) override {
    setup::SetupEnvironment environment{
        .files = context.files, .stop = context.stop, .reporter = context.reporter, .root = context.root};
    if (context.output.format() == OutputFormat::kText && context.output.stdout_is_terminal() &&
        env::can_ask()) {
      environment.ask_yes_no = [&context](std::string_view question) {
        return env::ask_yes_no(std::string(question) + " [y/N] ", context.stop);
      };
    }
    const PrimarySetupOutcome outcome = TRY(setup::run_primary_setup(options_, environment));
    context.output.json(as_json(outcome));
    context.output.text(text_of(outcome, context));
    if (outcome.verdict == PrimaryVerdict::kPendingRestart)
      return base::exit_code_of(ErrorCode::kPendingRestart);
    if (outcome.agent && outcome.agent->failure) return base::exit_code_of(outcome.agent->failure->code);
    return 0;
  }

 private:
  void declare_server(CLI::App& app) {
    app.add_flag("--restart", restart_,
                 "restart the server if a setting needs it, or start one that stands still, without asking");
    app.add_option("--listen", options_.listen_addresses,
                   "listen_addresses, where the present one leaves the standby's way out")
        ->type_name("LIST")
        ->capture_default_str();
    app.add_option("-U,--username", options_.superuser,
                   "superuser to log in as (default: the operating system user)")
        ->type_name("ROLE");
    app.add_option("--maintenance-db", options_.maintenance_database, "database to log in to")
        ->type_name("NAME")
        ->capture_default_str();
    app.add_option("--pg-bin", options_.bin_directory, "folder of PostgreSQL's programs")->type_name("DIR");
  }

  void declare_agent(CLI::App& app) {
    const CLI::Option* agent =
        app.add_option(
               "--agent", agent_,
               "start an agent, from which members of the cluster copy, and let the standbys become members "
               "(default: as before, else on the addresses that they reach this host by, port 7432)")
            ->type_name("ADDR[:PORT]")
            ->expected(0, 1);
    app.parse_complete_callback([this, agent] {
      if (agent->count() > 0) options_.agent = agent_;
    });
  }

  void declare_roles(CLI::App& app) {
    app.add_option("--replication-role", options_.replication_role,
                   "role the standbys log in as (default: replicator)")
        ->type_name("ROLE");
    auto* ask = app.add_flag("-W,--password", ask_password_, "ask for the replication role's password");
    app.add_option("--password-file", password_file_,
                   "file with the replication role's password, - for standard input (default: one is made)")
        ->type_name("FILE")
        ->excludes(ask);
    app.add_flag("--rotate-password", rotate_, "give both roles new passwords");
  }

  void declare_new_cluster(CLI::App& app) {
    auto* init = app.add_flag("--init", init_, "make a new cluster in DIR if there is none, and start it");
    app.add_option("--cluster", place_.cluster,
                   "the new cluster is Debian's N/NAME, made with pg_createcluster (default there: N/main)")
        ->type_name("N/NAME")
        ->needs(init);
    app.add_option(
           "-p,--port", port_,
           "port of the new cluster (default: 5432); without --init, the cluster of this host with that "
           "port")
        ->type_name("PORT");
    app.add_option("--socket-directory", socket_directory_, "folder for the new cluster's sockets")
        ->type_name("DIR")
        ->needs(init);
  }

  Result<void> choose_cluster(CommandContext& context) {
    std::optional<std::uint16_t> port;
    if (!port_.empty()) port = TRY(port_of(port_));
    if (!init_) {
      options_.data_directory = TRY(take_data_directory(place_.data_directory, port, context));
      options_.data_directory = env::absolute_path(options_.data_directory);
      return base::ok();
    }
    place_.bin_directory = options_.bin_directory;
    auto place = TRY(take_new_place(place_, server::OnSeveralMajors::kNewest, context));
    options_.data_directory = env::absolute_path(place.data_directory);
    setup::NewClusterOptions cluster;
    if (port) cluster.port = *port;
    if (!socket_directory_.empty()) cluster.socket_directory = env::absolute_path(socket_directory_);
    cluster.debian = std::move(place.debian);
    options_.init = std::move(cluster);
    return base::ok();
  }

  /// As whoever started this; links are followed, for he named the file himself.
  Result<std::string> read_ca_file(CommandContext& context) const {
    const std::string path = TRY(context.files.real_path(ca_file_));
    std::string pem = TRY(env::read_whole_file(context.files, path, client::kMaxCertificateFileBytes));
    const auto leaf = client::read_leaf(pem);
    if (leaf) return pem;
    return Error(ErrorCode::kUsage, fmt::format("\"{}\" holds no certificate", ca_file_), leaf.error().hint);
  }

  Result<void> take_password(CommandContext& context) {
    if (!password_file_.empty()) {
      options_.replication_password = TRY(read_secret_file(password_file_, context));
      return base::ok();
    }
    options_.replication_password = TRY(env::ask_secret("password of the replication role: ", context.stop));
    const base::Secret again = TRY(env::ask_secret("once more: ", context.stop));
    if (again == *options_.replication_password) return base::ok();
    return Error(ErrorCode::kUsage, "the two passwords are not the same", "Run this again.");
  }

  std::string text_of(const PrimarySetupOutcome& outcome, const CommandContext& context) const {
    switch (outcome.verdict) {
      case PrimaryVerdict::kPlanned:
        return text_of_plan(outcome);
      case PrimaryVerdict::kPendingRestart:
        if (outcome.pending_restart.empty()) {
          return fmt::format(
              "\nall is done that can be while the server stands still\n"
              "start it, then run this again for the token:\n\n    {}\n",
              outcome.restart_command);
        }
        return fmt::format(
            "\nall is done but a restart, for {}\nrestart the server, then run this again for the token:\n\n"
            "    {}\n",
            fmt::join(outcome.pending_restart, ", "), outcome.restart_command);
      case PrimaryVerdict::kUnchanged:
        if (dry_run_) return "nothing to change\n";
        return "\nnothing was changed: all was as it should be\n" + next_steps(outcome, context);
      case PrimaryVerdict::kChanged:
        break;
    }
    return next_steps(outcome, context);
  }

  static std::string text_of_plan(const PrimarySetupOutcome& outcome) {
    std::string text = "what would be done:\n";
    for (const auto& change : outcome.changes) {
      text += fmt::format("  {}  {}\n       {}\n", change.step, change.what, change.reason);
    }
    return text + "nothing was done (--dry-run)\n";
  }

  std::string next_steps(const PrimarySetupOutcome& outcome, const CommandContext& context) const {
    std::string text;
    for (const PrimaryMember& member : outcome.members) {
      if (member.kind == setup::MemberKind::kWitness) {
        text += witness_steps(member, context);
        continue;
      }
      text += fmt::format("\nnow on the standby {} (slot {}):\n\n", without_prefix(member.address_cidr),
                          member.slot);
      if (!member.manual.empty()) {
        for (const std::string& line : member.manual) text += "    " + line + "\n";
        continue;
      }
      text += fmt::format("    {} join -D {}{}\n\n", context.program, options_.data_directory,
                          outcome.is_standby ? " --from-standby" : "");
      if (member.token) text += token_step(member, context);
    }
    return text + sync_step(outcome, context.program);
  }

  static bool shows_token(const PrimaryMember& member, const CommandContext& context) {
    return member.token && context.output.stdout_is_terminal() &&
           member.token->reveal().size() <= kMaxPastedBytes;
  }

  static std::string token_step(const PrimaryMember& member, const CommandContext& context) {
    const std::string path = member.token_path.value_or("");
    if (!shows_token(member, context))
      return fmt::format("it asks for the token, or takes it by --token-file; the token is in {}\n", path);
    return fmt::format(
        "and give it this token, which is a password, when it asks:\n\n{}\n\n"
        "(the token is in {} too; --token-file and standard input take it as well)\n",
        member.token->reveal(), path);
  }

  static std::string witness_steps(const PrimaryMember& member, const CommandContext& context) {
    const std::string address = without_prefix(member.address_cidr);
    std::string text = fmt::format("\nnow on the witness {} ({}):\n\n", address, member.slot);
    if (!member.manual.empty()) {
      for (const std::string& line : member.manual) text += "    " + line + "\n";
      return text;
    }
    text += fmt::format("    {} witness -D DIR --listen {}{}\n\n", context.program,
                        net::to_string({address, member.port}),
                        shows_token(member, context) ? "" : " --token-file FILE");
    text += "DIR is a folder for the WAL, of its own, on a disk that keeps what it is told; it is made\n";
    if (shows_token(member, context)) return text + token_step(member, context);
    return text + fmt::format("FILE is a copy of the token, which is a password (0600): it is in {}\n",
                              member.token_path.value_or(""));
  }

  /// Who is in synchronous_standby_names before it streams stops every commit, so that comes last, and by
  /// hand.
  std::string sync_step(const PrimarySetupOutcome& outcome, const std::string& program) const {
    std::string names;
    for (const PrimaryMember& member : outcome.members) {
      if (member.kind == setup::MemberKind::kWitness) names += " " + member.slot;
    }
    if (names.empty()) return "";
    return fmt::format(
        "\nonce it streams, commits can be made to wait until the witness has them (name a standby too, and "
        "either is enough):\n\n    {} sync enable{} -D {}\n",
        program, names, options_.data_directory);
  }

  setup::PrimarySetupOptions options_;
  NewClusterArguments place_;
  std::string agent_;
  std::string password_file_;
  std::string ca_file_;
  std::string socket_directory_;
  std::string port_;
  bool init_ = false;
  bool restart_ = false;
  bool rotate_ = false;
  bool ask_password_ = false;
  bool no_token_ = false;
  bool from_standby_ = false;
  bool open_firewall_ = false;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> make_primary_setup_command() {
  return std::make_unique<PrimarySetupCommand>();
}

}  // namespace standfast::cli
