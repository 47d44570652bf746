#include "setup/primary_setup.h"

#include <utility>

#include <fmt/format.h>

#include "base/time.h"
#include "env/folder_lock.h"
#include "pg/server/control.h"
#include "pg/server/debian_create.h"
#include "pg/server/installation.h"
#include "pg/server/private_server.h"
#include "setup/new_cluster.h"
#include "setup/primary_look.h"
#include "setup/primary_run.h"
#include "setup/primary_stopped.h"
#include "setup/standby_control.h"
#include "setup/witness_removal.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kInitTimeout{600};
constexpr base::Seconds kStartTimeout{120};

Result<PrimarySetupOutcome> plan_new_cluster(const PrimarySetupOptions& options, const PrimaryWish& wish,
                                             const server::Installation& installation,
                                             env::FileSystem& files) {
  std::string existing = env::absolute_path(options.data_directory);
  while (existing != "/" && !TRY(files.inspect_following(existing))) existing = env::parent_of(existing);
  const PrimaryState state = state_of_new_cluster(installation.version, wish, options.init->port,
                                                  TRY(files.space(existing)).available_bytes);
  const PrimaryPlan plan = TRY(plan_primary(state, wish));
  PrimarySetupOutcome outcome;
  outcome.verdict = PrimaryVerdict::kPlanned;
  outcome.port = options.init->port;
  outcome.changes = plan.changes;
  outcome.changes.insert(
      outcome.changes.begin(),
      {ChangeKind::kCluster, "1.0",
       fmt::format("a new cluster of PostgreSQL {} in {}", installation.version.to_string(),
                   options.data_directory),
       options.init->debian
           ? fmt::format("--init; Debian's {}, made with pg_createcluster, with page checksums and TLS",
                         options.init->debian->to_string())
           : "--init; page checksums, local peer, host scram-sha-256, TLS with a certificate of its own"});
  outcome.members = describe_named(plan, wish);
  return outcome;
}

Result<void> make_cluster(const PrimarySetupOptions& options, const PrimaryWish& wish,
                          const server::Installation& installation, const SetupEnvironment& environment) {
  environment.reporter.step("1.0", "a new cluster");
  NewCluster cluster;
  cluster.data_directory = options.data_directory;
  cluster.superuser = options.superuser.value_or("");
  cluster.options = *options.init;
  cluster.debian = options.init->debian;
  cluster.listen_addresses = options.listen_addresses;
  if (wish.advertised_host) cluster.names.push_back(*wish.advertised_host);
  for (const Route& route : find_routes(wish, std::nullopt, options.init->port)) {
    if (route.source_address) cluster.names.push_back(*route.source_address);
  }
  const base::Stopwatch watch;
  TRY(make_new_cluster(environment.files, installation, cluster,
                       env::Wait::for_at_most(kInitTimeout, &environment.stop)));
  environment.reporter.info(
      fmt::format("PostgreSQL {} in {}{}, with page checksums and TLS, in {}",
                  installation.version.to_string(), options.data_directory,
                  cluster.debian ? fmt::format(", Debian's cluster {}", cluster.debian->to_string()) : "",
                  base::format_duration(watch.elapsed())));
  return base::ok();
}

/// With --init, where there is none, or one that a killed run had not finished.
Result<bool> is_to_be_made(const PrimarySetupOptions& options, env::FileSystem& files) {
  if (!options.init) return false;
  const auto kind = TRY(inspect_data_directory(files, options.data_directory));
  if (kind == DataDirectoryKind::kMissing || kind == DataDirectoryKind::kEmpty) return true;
  return options.init->debian && TRY(server::is_half_made(files, options.data_directory));
}

Result<server::Installation> installation_of(const PrimarySetupOptions& options,
                                             const server::Cluster& cluster,
                                             const SetupEnvironment& environment) {
  server::InstallationQuery query;
  query.bin_directory = options.bin_directory;
  query.major = cluster.major();
  return server::find_installation(environment.files, query,
                                   env::Wait::for_at_most(kConnectTimeout, &environment.stop));
}

/// With --init a cluster that stands still is started: it was made just now, or by a run that was killed.
Result<void> start_cluster(const StoppedCluster& stopped, const SetupEnvironment& environment) {
  if (TRY(stopped.cluster.is_standby())) {
    return Error(ErrorCode::kPrecondition,
                 fmt::format("\"{}\" is a standby", stopped.cluster.data_directory()),
                 "Run this on its primary, and name the new standby there.");
  }
  const auto wait = env::Wait::for_at_most(kStartTimeout, &environment.stop);
  auto control = TRY(server::ServerControl::choose(environment.files, stopped.cluster, stopped.installation,
                                                   environment.root));
  auto left =
      TRY(server::PrivateServer::take_over(environment.files, stopped.cluster, stopped.installation, wait));
  if (left) TRY(left->stop());
  say_service_notes(control, environment.reporter);
  TRY(control.start(wait));
  environment.reporter.info("the server runs");
  return base::ok();
}

Result<PrimarySetupOutcome> set_up(const PrimarySetupOptions& options, const SetupEnvironment& environment,
                                   const PrimaryWish& wish, const client::SecretStore& store,
                                   const server::Cluster& cluster) {
  const bool is_dry = options.mode == RunMode::kDryRun;
  std::optional<env::FolderLock> lock;
  if (!is_dry) {
    lock.emplace(TRY(env::FolderLock::take(cluster.data_directory(),
                                           {"another \"standfast primary setup\" runs on this server"})));
  }
  if (!options.remove_witnesses.empty()) return remove_witnesses(options, environment, wish, store, cluster);
  if (TRY(stands_still(cluster, environment))) {
    const auto installation = TRY(installation_of(options, cluster, environment));
    const StoppedCluster stopped{cluster, installation, store};
    if (is_dry) return plan_stopped(stopped, options, wish, environment);
    if (!options.init) return set_up_stopped(stopped, options, wish, environment);
    TRY(start_cluster(stopped, environment));
  }
  return PrimaryRun(options, environment, wish, store, cluster).run();
}

}  // namespace

Result<PrimarySetupOutcome> run_primary_setup(const PrimarySetupOptions& options,
                                              const SetupEnvironment& environment) {
  const PrimaryWish wish = TRY(wish_of(options));
  const auto store = TRY(client::SecretStore::locate(environment.files));
  TRY(store.refuse_inside(options.data_directory));
  std::optional<PlannedChange> made;
  if (TRY(is_to_be_made(options, environment.files))) {
    server::InstallationQuery query;
    query.bin_directory = options.bin_directory;
    if (options.init->debian) query.major = options.init->debian->major;
    const auto installation = TRY(server::find_installation(
        environment.files, query, env::Wait::for_at_most(kConnectTimeout, &environment.stop)));
    auto planned = TRY(plan_new_cluster(options, wish, installation, environment.files));
    if (options.mode == RunMode::kDryRun) return planned;
    TRY(make_cluster(options, wish, installation, environment));
    made = planned.changes.front();
  }
  const auto cluster = TRY(server::Cluster::open(environment.files, options.data_directory));
  auto outcome = TRY(set_up(options, environment, wish, store, cluster));
  if (made) {
    outcome.changes.insert(outcome.changes.begin(), *made);
    if (outcome.verdict == PrimaryVerdict::kUnchanged) outcome.verdict = PrimaryVerdict::kChanged;
  }
  return outcome;
}

}  // namespace standfast::setup
