#include "setup/demo.h"

#include <cstdlib>

#include <fmt/format.h>

#include "env/network.h"
#include "env/process.h"
#include "pg/format/token.h"
#include "pg/server/cluster.h"
#include "pg/server/control.h"
#include "setup/join.h"
#include "setup/primary_setup.h"
#include "setup/timed_reporter.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kLookTimeout{30};
constexpr base::Seconds kStopTimeout{60};
constexpr const char* kLoopback = "127.0.0.1";
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
    TRY(make_folder());
    auto made = make_pair();
    const bool keep = options_.end == DemoEnd::kKeep && made.has_value();
    if (!keep) {
      auto removed = remove_all();
      // The first failure is the one that matters; what could not be removed is said all the same.
      if (!made && !removed) environment_.reporter.warn(removed.error().message, removed.error().hint);
      if (made && !removed) return std::move(removed).error();
      outcome_.removed = true;
    }
    if (!made) return std::move(made).error();
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
    return base::ok();
  }

  Result<void> make_pair() {
    server::InstallationQuery query;
    query.bin_directory = options_.bin_directory;
    const auto installation =
        TRY(server::find_installation(environment_.files, query, environment_.wait_at_most(kLookTimeout)));
    outcome_.bin_directory = installation.bin_directory;
    TRY(environment_.files.make_directory(folder_ + "/sockets", 0700));
    environment_.reporter.step("",
                               fmt::format("PostgreSQL {} from {}, in {}", installation.version.to_string(),
                                           installation.bin_directory, folder_));
    const pg::Token token = TRY(make_primary(installation));
    TRY(make_standby(installation, token));
    TRY(verify());
    reporter_.finish_step();
    TRY(show_(outcome_));
    if (options_.end == DemoEnd::kStay) wait_for_stop();
    return base::ok();
  }

  Result<pg::Token> make_primary(const server::Installation& installation) {
    outcome_.primary = {folder_ + "/primary", TRY(env::find_free_port())};
    PrimarySetupOptions setup;
    setup.data_directory = outcome_.primary.data_directory;
    setup.standbys = {kLoopback};
    setup.advertised_host = kLoopback;
    setup.listen_addresses = kLoopback;
    setup.restart = RestartLeave::kGiven;
    setup.bin_directory = installation.bin_directory;
    setup.init = NewClusterOptions{.port = outcome_.primary.port, .socket_directory = folder_ + "/sockets"};
    const PrimarySetupOutcome made = TRY(run_primary_setup(setup, environment_));
    if (made.members.size() != 1 || !made.members.front().token) {
      return Error(ErrorCode::kFailed, "primary setup gave no token");
    }
    return pg::decode_token(made.members.front().token->reveal());
  }

  Result<void> make_standby(const server::Installation& installation, const pg::Token& token) {
    outcome_.standby = {folder_ + "/standby", TRY(env::find_free_port())};
    JoinOptions join;
    join.data_directory = outcome_.standby.data_directory;
    join.token = token;
    join.bin_directory = installation.bin_directory;
    join.port = outcome_.standby.port;
    join.socket_directory = folder_ + "/sockets";
    join.listen_addresses = kLoopback;
    TRY(run_join(join, environment_));
    return base::ok();
  }

  Result<client::ConnectOptions> connection_to(const DemoServer& server) {
    const auto cluster = TRY(server::Cluster::open(environment_.files, server.data_directory));
    return cluster.local_connection("postgres");
  }

  Result<void> verify() {
    environment_.reporter.step("3.3", "write on the primary, read on the standby");
    VerifyOptions verify;
    verify.servers = {TRY(connection_to(outcome_.primary)), TRY(connection_to(outcome_.standby))};
    verify.database = DatabaseProof::kCreateReplicaDemo;
    outcome_.proof = TRY(run_verify(verify, environment_));
    if (outcome_.proof.failure) return *outcome_.proof.failure;
    return base::ok();
  }

  void wait_for_stop() {
    while (
        env::wait_for(-1, 0, env::Wait{base::Deadline::after(std::chrono::hours(1)), &environment_.stop}) !=
        env::Ready::kStopped) {
    }
  }

  /// Runs after Ctrl-C too, so its waits do not listen to the stop event.
  Result<void> remove_all() {
    environment_.reporter.step("", "stop both servers and remove " + folder_);
    const auto standby = stop_server(folder_ + "/standby");
    TRY(stop_server(folder_ + "/primary"));
    TRY(standby);
    if (!folder_was_there_) return env::remove_tree(environment_.files, folder_);
    for (const std::string& name : TRY(environment_.files.list(folder_))) {
      TRY(env::remove_tree(environment_.files, folder_ + "/" + name));
    }
    return base::ok();
  }

  Result<void> stop_server(const std::string& data_directory) {
    if (!TRY(environment_.files.inspect(data_directory + "/PG_VERSION"))) return base::ok();
    const auto cluster = TRY(server::Cluster::open(environment_.files, data_directory));
    if (!TRY(cluster.running())) return base::ok();
    server::InstallationQuery query;
    query.bin_directory = outcome_.bin_directory;
    const auto wait = env::Wait::for_at_most(kStopTimeout);
    const auto installation = TRY(server::find_installation(environment_.files, query, wait));
    auto control = TRY(server::ServerControl::choose(environment_.files, cluster, installation, nullptr));
    return control.stop(server::StopMode::kFast, wait);
  }

  const DemoOptions& options_;
  TimedReporter reporter_;
  SetupEnvironment environment_;
  const DemoShow& show_;
  std::string folder_;
  bool folder_was_there_ = false;
  DemoOutcome outcome_;
};

}  // namespace

Result<DemoOutcome> run_demo(const DemoOptions& options, const SetupEnvironment& environment,
                             const DemoShow& show) {
  return Demo(options, environment, show).run();
}

}  // namespace standfast::setup
