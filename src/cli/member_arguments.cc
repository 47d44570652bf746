#include "cli/member_arguments.h"

#include <ctime>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/chrono.h>

#include "cli/which_cluster.h"
#include "pg/server/cluster.h"

namespace standfast::cli {

using base::Result;

void MemberArguments::declare(CLI::App& app) {
  app.add_option("-D,--pgdata", data_directory_,
                 "data directory of the cluster on this host (or PGDATA; default: the one cluster there is)")
      ->type_name("DIR");
}

Result<void> MemberArguments::prepare(CommandContext& context) {
  data_directory_ = TRY(take_data_directory(data_directory_, std::nullopt, context));
  return base::ok();
}

Result<MemberArguments::Opened> MemberArguments::open(CommandContext& context) const {
  const auto cluster = TRY(server::Cluster::open(context.files, data_directory_));
  const pg::SystemId system_id = TRY(cluster.control_file()).system_id;
  auto store = TRY(client::SecretStore::locate(context.files));
  auto members = TRY(agent::Members::open(store, system_id, {}));
  return Opened{.system_id = system_id, .store = std::move(store), .members = std::move(members)};
}

agent::UnixSeconds seconds_now() {
  return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
}

std::string utc_time(agent::UnixSeconds time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

std::string_view word_of(agent::MemberState::Standing standing) {
  using Standing = agent::MemberState::Standing;
  switch (standing) {
    case Standing::kMember:
      return "member";
    case Standing::kExpired:
      return "expired";
    case Standing::kRevoked:
      return "removed";
    case Standing::kInvited:
      return "invited";
  }
  return "";
}

}  // namespace standfast::cli
