#include "setup/demo.h"

#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "env/network.h"
#include "env/process.h"
#include "env/process_family.h"
#include "pg/format/token.h"
#include "setup/demo_witness.h"
#include "setup/join.h"
#include "setup/nested_reporter.h"
#include "setup/primary_setup.h"
#include "setup/sync.h"
#include "setup/timed_reporter.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kLookTimeout{30};
/// sun_path holds 107 bytes; a socket's name below the folder takes up to 16 ("/.s.PGSQL.65535.lock").
constexpr std::size_t kMaxFolderLength = 80;

class Demo {
 public:
  Demo(const DemoOptions& options, const SetupEnvironment& environment, const DemoShow& show)
      : options_(options),
        reporter_(environment.reporter),
        environment_{.files = environment.files, .stop = environment.stop, .reporter = reporter_},
        show_(show) {}

  Result<DemoOutcome> run() {
    env::forget_postgres_environment();
    env::adopt_orphans();  // the primary that is killed must be gone before it comes back
    TRY(make_folder());
    auto played = play();
    const bool keep = options_.end == DemoEnd::kKeep && played.has_value();
    if (keep) {
      witness_->leave();
    } else {
      auto removed = remove_all();
      // The first failure is the one that matters; what could not be removed is said all the same.
      if (!played && !removed) environment_.reporter.warn(removed.error().message, removed.error().hint);
      if (played && !removed) return std::move(removed).error();
      outcome_.removed = true;
    }
    if (!played) return std::move(played).error();
    return std::move(outcome_);
  }

 private:
  Result<void> make_folder() {
    const auto user = TRY(env::find_user(env::effective_user()));
    outcome_.user = user ? user->name : "";
    if (options_.directory) {
      folder_ = env::absolute_path(*options_.directory);
      if (folder_.size() > kMaxFolderLength) {
        return Error(ErrorCode::kUsage, fmt::format("the path \"{}\" is too long for a socket", folder_),
                     fmt::format("Choose a folder with at most {} characters.", kMaxFolderLength));
      }
      const auto info = TRY(environment_.files.inspect(folder_));
      if (info && (info->kind != env::FileKind::kDirectory ||
                   !TRY(env::is_empty_directory(environment_.files, folder_)))) {
        return Error(ErrorCode::kTargetRefused, fmt::format("\"{}\" is not an empty folder", folder_),
                     "Name one that is missing or empty; the demo removes what it made in it.");
      }
      folder_was_there_ = info.has_value();
      if (!info) {
        auto made = environment_.files.make_directory(folder_, 0700);
        if (!made)
          return std::move(made).error().with_hint("Name a folder whose parent is there and is yours.");
      }
    } else {
      const char* temporary = std::getenv("TMPDIR");
      const std::string parent = temporary != nullptr ? env::absolute_path(temporary) : "/tmp";
      std::string pattern =
          (parent.size() < kMaxFolderLength / 2 ? parent : "/tmp") + "/standfast-demo-XXXXXX";
      if (mkdtemp(pattern.data()) == nullptr)
        return base::error_from_errno(errno, "could not make a folder like " + pattern)
            .with_hint("Set TMPDIR to a folder that can be written to, or name one with -D.");
      folder_ = pattern;
    }
    // Secrets of the demo go where the demo goes.
    setenv("STANDFAST_HOME", (folder_ + "/secrets").c_str(), 1);
    outcome_.directory = folder_;
    stage_.folder = folder_;
    return base::ok();
  }

  Result<void> play() {
    TRY(make_pair());
    TRY(verify());
    TRY(show(DemoScene::kPair));
    TRY(add_witness());
    TRY(show(DemoScene::kWitness));
    outcome_.loss_proof =
        TRY(DemoAct(stage_, outcome_.primary, outcome_.standby, standby_token_->slot).run());
    TRY(bring_old_primary_back());
    TRY(show(DemoScene::kEnd));
    if (options_.end == DemoEnd::kStay) wait_for_stop();
    return base::ok();
  }

  Result<void> show(DemoScene scene) {
    reporter_.finish_step();
    return show_(outcome_, scene);
  }

  // ---------------------------------------------------------------- the pair

  Result<void> make_pair() {
    server::InstallationQuery query;
    query.bin_directory = options_.bin_directory;
    stage_.installation =
        TRY(server::find_installation(environment_.files, query, environment_.wait_at_most(kLookTimeout)));
    outcome_.bin_directory = stage_.installation.bin_directory;
    TRY(environment_.files.make_directory(folder_ + "/sockets", 0700));
    reporter_.step("", fmt::format("PostgreSQL {} from {}, in {}", stage_.installation.version.to_string(),
                                   stage_.installation.bin_directory, folder_));
    TRY(make_primary());
    outcome_.standby = {server_folder(2), TRY(env::find_free_port())};
    TRY(run_join(join_options(outcome_.standby), environment_));
    return base::ok();
  }

  std::string server_folder(int number) const { return fmt::format("{}/server{}", folder_, number); }

  PrimarySetupOptions setup_options() const {
    PrimarySetupOptions setup;
    setup.data_directory = outcome_.primary.data_directory;
    setup.advertised_host = kDemoHost;
    setup.listen_addresses = kDemoHost;
    setup.restart = RestartLeave::kGiven;
    setup.bin_directory = stage_.installation.bin_directory;
    return setup;
  }

  Result<void> make_primary() {
    outcome_.primary = {server_folder(1), TRY(env::find_free_port())};
    PrimarySetupOptions setup = setup_options();
    setup.standbys = {kDemoHost};
    setup.init = NewClusterOptions{.port = outcome_.primary.port, .socket_directory = folder_ + "/sockets"};
    return keep_tokens(TRY(run_primary_setup(setup, environment_)));
  }

  Result<void> keep_tokens(const PrimarySetupOutcome& made) {
    for (const PrimaryMember& member : made.members) {
      if (!member.token) return Error(ErrorCode::kFailed, "primary setup gave no token");
      auto& token = member.kind == MemberKind::kWitness ? witness_token_ : standby_token_;
      token = TRY(pg::decode_token(member.token->reveal()));
    }
    CHECK(standby_token_.has_value());
    return base::ok();
  }

  JoinOptions join_options(const DemoServer& standby) const {
    JoinOptions join;
    join.data_directory = standby.data_directory;
    join.token = *standby_token_;
    join.bin_directory = stage_.installation.bin_directory;
    join.port = standby.port;
    join.socket_directory = folder_ + "/sockets";
    join.listen_addresses = kDemoHost;
    return join;
  }

  Result<void> verify() {
    reporter_.step("3.3", "write on the primary, read on the standby");
    VerifyOptions verify;
    verify.servers = {TRY(stage_.connection_to(outcome_.primary)),
                      TRY(stage_.connection_to(outcome_.standby))};
    verify.database = DatabaseProof::kCreateReplicaDemo;
    outcome_.proof = TRY(run_verify(verify, environment_));
    if (outcome_.proof.failure) return *outcome_.proof.failure;
    return base::ok();
  }

  // ---------------------------------------------------------------- the third member

  SetupEnvironment nested_environment(NestedReporter& nested) const {
    return {.files = environment_.files, .stop = environment_.stop, .reporter = nested};
  }

  Result<void> add_witness() {
    witness_.emplace(stage_, TRY(env::find_free_port()));
    outcome_.witness = {.folder = witness_->folder(), .port = witness_->port()};
    reporter_.step("4.1", fmt::format("a third member: standfast primary setup -D {} --witness {}",
                                      outcome_.primary.data_directory, witness_wish()));
    PrimarySetupOptions setup = setup_options();
    setup.witnesses = {witness_wish()};
    NestedReporter nested(reporter_);
    TRY(keep_tokens(TRY(run_primary_setup(setup, nested_environment(nested)))));
    reporter_.step("4.2", "start the witness: it keeps the primary's WAL, and has no database");
    TRY(start_witness());
    return enable_sync_of_both("4.3");
  }

  std::string witness_wish() const {
    return fmt::format("{}:{}={}", kDemoHost, witness_->port(), DemoWitness::kName);
  }

  Result<void> start_witness() {
    CHECK(witness_token_.has_value());
    TRY(witness_->follow(outcome_.primary, *witness_token_));
    outcome_.witness.process = witness_->process();
    return base::ok();
  }

  Result<void> enable_sync_of_both(std::string_view number) {
    reporter_.step(number, fmt::format("standfast sync enable {} {} -D {}", standby_token_->slot,
                                       DemoWitness::kName, outcome_.primary.data_directory));
    SyncChange change;
    change.names = {standby_token_->slot, DemoWitness::kName};
    change.method = pg::SyncMethod::kAny;
    change.count = 1;
    const SyncOutcome set =
        TRY(enable_sync(TRY(stage_.connection_to(outcome_.primary)), change, RunMode::kApply, environment_));
    reporter_.info(fmt::format(
        "synchronous_standby_names = '{}': a commit is acknowledged once either has it on its disk",
        set.names));
    return base::ok();
  }

  // ---------------------------------------------------------------- after the act

  Result<void> bring_old_primary_back() {
    std::swap(outcome_.primary, outcome_.standby);
    // It was copied before the witness came, whose line its pg_hba.conf lacks.
    PrimarySetupOptions setup = setup_options();
    setup.standbys = {kDemoHost};
    setup.witnesses = {witness_wish()};
    reporter_.step("5.1",
                   fmt::format("the new primary: standfast primary setup -D {} --standby {} --witness {}",
                               outcome_.primary.data_directory, kDemoHost, witness_wish()));
    NestedReporter nested(reporter_);
    TRY(keep_tokens(TRY(run_primary_setup(setup, nested_environment(nested)))));
    reporter_.step("5.2", "the witness follows the new primary");
    TRY(start_witness());
    const std::string& old = outcome_.standby.data_directory;
    reporter_.step("5.3", "the one that was killed comes back as a standby: standfast join -D " + old);
    TRY(end_demo_server(environment_.files, old, stage_.installation));
    TRY(environment_.files.rename_no_replace(old, old + ".killed"));
    reporter_.info(
        fmt::format("moved aside to {}.killed first, as by hand: Standfast never replaces a primary", old));
    TRY(run_join(join_options(outcome_.standby), nested_environment(nested)));
    return enable_sync_of_both("5.4");
  }

  void wait_for_stop() {
    while (
        env::wait_for(-1, 0, env::Wait{base::Deadline::after(std::chrono::hours(1)), &environment_.stop}) !=
        env::Ready::kStopped) {
    }
  }

  // ---------------------------------------------------------------- the end

  /// Runs after Ctrl-C too, so its waits do not listen to the stop event. The witness goes first: nobody it
  /// could hold up, and a primary that stops would wait for it.
  Result<void> remove_all() {
    reporter_.step("", "stop all of it and remove " + folder_);
    const auto witness = witness_ ? witness_->stop() : base::ok();
    const auto second = end_demo_server(environment_.files, server_folder(2), stage_.installation);
    TRY(end_demo_server(environment_.files, server_folder(1), stage_.installation));
    TRY(second);
    TRY(witness);
    if (!folder_was_there_) return env::remove_tree(environment_.files, folder_);
    for (const std::string& name : TRY(environment_.files.list(folder_))) {
      TRY(env::remove_tree(environment_.files, folder_ + "/" + name));
    }
    return base::ok();
  }

  const DemoOptions& options_;
  TimedReporter reporter_;
  SetupEnvironment environment_;
  const DemoShow& show_;
  DemoStage stage_{.environment = environment_};
  std::string folder_;
  bool folder_was_there_ = false;
  std::optional<pg::Token> standby_token_;
  std::optional<pg::Token> witness_token_;
  std::optional<DemoWitness> witness_;
  DemoOutcome outcome_;
};

}  // namespace

Result<DemoOutcome> run_demo(const DemoOptions& options, const SetupEnvironment& environment,
                             const DemoShow& show) {
  return Demo(options, environment, show).run();
}

}  // namespace standfast::setup
