// Who must have a commit before a client is told of it, as a server has it now: synchronous_standby_names,
// who streams, and where synchronous_commit makes other sessions wait for more, or for less.
//
// Threading: one thread. Fails as statements do.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "pg/client/connection.h"
#include "pg/format/sync_standby_names.h"
#include "setup/server_facts.h"

namespace standfast::setup {

struct SyncFacts {
  std::string names;               ///< synchronous_standby_names, as it is in force
  std::string source;              ///< of it, as pg_settings has it
  std::string source_file;         ///< "" where it is not from a file, or hidden
  std::string synchronous_commit;  ///< of a session that sets nothing itself
  bool may_alter_system = true;
  bool is_in_recovery = false;
  pg::Lsn head;  ///< read before the senders
  std::vector<WalSender> senders;
  /// Where synchronous_commit = remote_apply is set: "database \"shop\"", "role \"app\"", "the server".
  std::vector<std::string> remote_apply;
  /// Where it promises less than a copy on another disk: "off for role \"app\"".
  std::vector<std::string> weaker;
};
base::Result<SyncFacts> read_sync_facts(client::Connection& connection, const env::Wait& wait);

/// synchronous_commit where it is set for others than this session.
struct RemoteApply {
  std::string of_the_server;        ///< of the files: "" where this role may not see them
  std::vector<std::string> places;  ///< SyncFacts::remote_apply
  std::vector<std::string> weaker;  ///< SyncFacts::weaker
};
base::Result<RemoteApply> read_remote_apply(client::Connection& connection, const env::Wait& wait);

/// How many of the list's have WAL on their disk that counts. Where fewer than its count do, every commit
/// stands still.
std::size_t streaming_of(const pg::SyncStandbyNames& list, const std::vector<WalSender>& senders);
/// Names in such a list are equal without regard to case.
bool equal_names(std::string_view a, std::string_view b);

}  // namespace standfast::setup
