#include "cli/stop_server.h"

#include <fmt/format.h>

#include "pg/server/cluster.h"
#include "pg/server/control.h"
#include "pg/server/installation.h"

namespace standfast::cli {

using base::Result;

namespace {

constexpr base::Seconds kStopTimeout(120);
constexpr base::Seconds kLookTimeout(30);

}  // namespace

Result<void> stop_server_in(CommandContext& context, const std::string& data_directory,
                            const std::string& bin_directory) {
  const auto cluster = TRY(server::Cluster::open(context.files, data_directory));
  server::InstallationQuery query;
  if (bin_directory.empty()) {
    query.major = cluster.major();
  } else {
    query.bin_directory = bin_directory;
  }
  const env::Wait look = env::Wait::for_at_most(kLookTimeout, &context.stop);
  const auto installation = TRY(server::find_installation(context.files, query, look));
  auto control = TRY(server::ServerControl::choose(context.files, cluster, installation, context.root));
  context.reporter.info(fmt::format("stop the server in \"{}\"", data_directory));
  return control.stop(server::StopMode::kFast, env::Wait::for_at_most(kStopTimeout, &context.stop));
}

}  // namespace standfast::cli
