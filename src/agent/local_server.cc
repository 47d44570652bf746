#include "agent/local_server.h"

#include <utility>

#include <fmt/format.h>

#include "pg/format/versions.h"

namespace standfast::agent {

using base::Error;
using base::ErrorCode;
using base::Result;

Result<std::unique_ptr<LocalServer>> LocalServer::open(server::Cluster cluster, Login login) {
  const pg::SystemId system_id = TRY(cluster.control_file()).system_id;
  return std::unique_ptr<LocalServer>(new LocalServer(std::move(cluster), std::move(login), system_id));
}

Result<pg::ControlFile> LocalServer::control_file() const {
  const pg::ControlFile control = TRY(cluster_.control_file());
  if (control.system_id == system_id_) return control;
  return Error(ErrorCode::kPrecondition,
               fmt::format("\"{}\" is the cluster {} now, no longer {}", data_directory(),
                           control.system_id.to_string(), system_id_.to_string()),
               "Restart the agent.");
}

Result<Welcome> LocalServer::facts() const {
  const pg::ControlFile control = TRY(control_file());
  const auto version = pg::Version::parse(std::to_string(cluster_.major()));
  Welcome facts;
  facts.server_version_num = version ? static_cast<std::uint32_t>(version->number()) : 0;
  facts.block_bytes = control.block_bytes;
  facts.segment_blocks = control.segment_blocks;
  facts.wal_segment_bytes = control.wal_segment_bytes;
  facts.has_page_checksums = control.data_checksum_version != 0;
  facts.is_standby = TRY(cluster_.is_standby());
  return facts;
}

Result<std::unique_ptr<Bracket>> LocalServer::begin(const BeginBackup& request, const env::Wait& wait) const {
  TRY(control_file());
  return begin_bracket(TRY(cluster_.connect(login_.database, wait, login_.user)), request, wait);
}

}  // namespace standfast::agent
