#include "setup/demo_stage.h"

#include <fmt/format.h>

#include "env/process.h"
#include "pg/server/cluster.h"
#include "pg/server/control.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kStatementTimeout{30};
constexpr base::Seconds kStopTimeout{60};

/// A server that is killed leaves its shared memory to the system. A start finds what the last one left, and
/// removes it; this one is of a single process, that nobody can connect to (postgres --single).
Result<void> give_back_shared_memory(const std::string& data_directory,
                                     const server::Installation& installation) {
  const auto ended = TRY(env::run_command(
      {.argv = {installation.program("postgres"), "--single", "-F", "-D", data_directory, "template1"},
       .environment = env::ChildEnvironment::kWithoutPostgres},
      env::Wait::for_at_most(kStopTimeout)));
  if (ended.exit_code == 0) return base::ok();
  std::string said = ended.errors;
  while (said.ends_with('\n')) said.pop_back();
  return Error(ErrorCode::kServerControl,
               fmt::format("the shared memory of the server that was killed could not be given back: {}",
                           said.substr(said.rfind('\n') + 1)),
               "Start it once on \"" + data_directory + "\" and stop it, or restart this host.");
}

}  // namespace

env::Wait DemoStage::wait() const {
  return environment.wait_at_most(kStatementTimeout);
}

Result<client::ConnectOptions> DemoStage::connection_to(const DemoServer& server) const {
  const auto cluster = TRY(server::Cluster::open(environment.files, server.data_directory));
  return cluster.local_connection("postgres");
}

Result<client::Connection> DemoStage::connect(const DemoServer& server) const {
  return client::Connection::open(TRY(connection_to(server)), wait());
}

Result<void> end_demo_server(env::FileSystem& files, const std::string& data_directory,
                             const server::Installation& installation) {
  if (!TRY(files.inspect(data_directory + "/PG_VERSION"))) return base::ok();
  const auto cluster = TRY(server::Cluster::open(files, data_directory));
  if (TRY(cluster.running())) {
    auto control = TRY(server::ServerControl::choose(files, cluster, installation, nullptr));
    return control.stop(server::StopMode::kFast, env::Wait::for_at_most(kStopTimeout));
  }
  // Whoever stops removes it.
  const bool was_killed = TRY(files.inspect(data_directory + "/postmaster.pid")).has_value();
  return was_killed ? give_back_shared_memory(data_directory, installation) : base::ok();
}

}  // namespace standfast::setup
