// `standfast join`: a verified hot standby from a token. Checks what would fail afterwards, copies, gives the
// copy its own settings, starts it, waits until it streams, verifies. The seed's parts two and three.
//
// A token that names an agent makes this host a member of the cluster first (join_membership.h); where that
// agent cannot be reached the copy is made without it.
//
// Run again on the standby it made, or after it was killed at any point, it goes on where it stopped and
// copies nothing that is there already.
//
// Threading: one thread (the clone has its own). Secrets: the token's passwords go into the store's passfile
// only. Fails with: everything a clone fails with, kToken, kCertificate, kVersion, kPrecondition, kInUse,
// kServerControl, kNotReplicating. Until the copy is in place nothing of the old state has changed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "clone/clone.h"
#include "pg/format/token.h"
#include "pg/server/debian.h"
#include "setup/environment.h"
#include "setup/primary_setup.h"
#include "setup/verify.h"

namespace standfast::setup {

enum class OnOldDirectory : std::uint8_t { kRefuse, kMoveAside };
enum class OnRunningServer : std::uint8_t { kRefuse, kStop };

struct JoinOptions {
  std::string data_directory;
  /// Debian's name for it; it is registered with pg_createcluster if it is not yet.
  std::optional<server::DebianName> debian = {};
  pg::Token token;
  std::optional<std::string> bin_directory = {};
  std::optional<std::uint16_t> port = {};
  std::optional<std::string> socket_directory = {};
  std::optional<std::string> listen_addresses = {};
  std::optional<std::string> wal_directory = {};
  std::optional<std::string> move_old_to = {};
  std::optional<std::string> application_name = {};  ///< else the slot's name
  std::optional<std::uint64_t> max_rate_bytes_per_second = {};
  std::vector<clone::TablespaceMapping> tablespace_mappings = {};
  clone::Checkpoint checkpoint = clone::Checkpoint::kFast;
  clone::FromStandby from_standby = clone::FromStandby::kNotSaid;
  OnOldDirectory on_old_directory = OnOldDirectory::kRefuse;
  OnRunningServer on_running_server = OnRunningServer::kRefuse;
  clone::AgentUse agent = {};
  RunMode mode = RunMode::kApply;
  /// An agent on this host, once the standby runs: "", or the address where it listens, ADDR[:PORT].
  std::optional<std::string> own_agent = {};
  base::Clock::duration start_timeout = std::chrono::minutes(10);
  base::Clock::duration stream_timeout = std::chrono::minutes(2);
};

struct JoinOutcome {
  bool was_a_standby_already = false;
  bool planned_only = false;
  /// The source is a standby; its own upstream in words, "" where that is not known.
  std::optional<std::string> follows_standby_of = {};
  std::optional<clone::CloneFacts> copy = {};
  std::vector<std::string> settings_taken_out = {};
  std::vector<std::string> settings_given = {};
  std::string start_command;
  std::optional<VerifyOutcome> proof = {};
  std::optional<std::string> member = {};  ///< this host's name among the cluster's members
  std::optional<AgentOutcome> agent = {};
};

base::Result<JoinOutcome> run_join(const JoinOptions& options, const SetupEnvironment& environment);

}  // namespace standfast::setup
