// A copy of a running server's data directory, made over the replication protocol and put in place whole.
//
//   fetch_clone()   connects twice, checks, receives BASE_BACKUP and, at the same time, the WAL; writes and
//                   fsyncs into a staging folder beside the target; checks every byte against the manifest.
//   put_in_place()  renames: the old directory aside, the staging to the target; or entry by entry, where the
//                   target has to stay; puts the old one back if that fails.
//   move_old_directory()  takes the old directory on to where move_old_to says.
//
// In between the caller may edit files in the staging folder (settings that belong to the primary).
//
// Threading: call from one thread; inside there are a writer, the WAL receiver and a few that fsync, all
// joined when fetch_clone() returns. Memory: bounded by the named limits of message_queue.h, and what the
// list of files takes.
// Ownership: a StagedClone owns its staging folder and the slot it created. Destroyed before put_in_place()
// it removes both (unless asked to keep them); after, it does nothing.
// Fails with: kConnect, kAuthentication, kVersion, kTimeout, kCancelled, kTargetRefused, kInUse, kDiskFull,
// kSlot, kDamaged, kProtocol, kPrecondition, kPermission, kIo. After any of them the target is as it was.
// Mirrors bin/pg_basebackup/pg_basebackup.c, whose flags the options follow.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/reporter.h"
#include "base/result.h"
#include "base/time.h"
#include "clone/claim.h"
#include "clone/page_rules.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "net/connect.h"
#include "pg/client/connection.h"
#include "pg/format/lsn.h"
#include "pg/format/versions.h"

namespace standfast::clone {

enum class WalMethod : std::uint8_t { kNone, kFetch, kStream };
enum class Checkpoint : std::uint8_t { kFast, kSpread };
enum class SlotUse : std::uint8_t {
  kTemporary,  ///< one that lasts as long as the copy; with a named slot, that one is moved only at the end
  kCreate,     ///< the named slot is created, and dropped again if anything fails
  kNone,       ///< nothing holds the WAL back
};

/// Whether the user has said that the source is a standby.
enum class FromStandby : std::uint8_t { kNotSaid, kSaid };

struct TablespaceMapping {
  std::string from;
  std::string to;
};

/// How the files of a copy come.
enum class CopyWay : std::uint8_t {
  kAuto,      ///< from the source's agent where this host is a member and the agent answers
  kAgent,     ///< from the agent, or not at all
  kProtocol,  ///< by BASE_BACKUP
};

struct AgentUse {
  CopyWay way = CopyWay::kAuto;
  std::optional<net::HostPort> address = {};  ///< else the source's host, and kDefaultAgentPort
  std::optional<std::size_t> streams = {};    ///< else by cores and link (copy_work.h)
  DamagedPages damaged_pages = DamagedPages::kRefused;
};

struct CloneOptions {
  client::ConnectOptions connect;
  std::string target;
  WalMethod wal = WalMethod::kStream;
  std::optional<std::string> slot = {};
  SlotUse slot_use = SlotUse::kTemporary;
  AgentUse agent = {};
  Checkpoint checkpoint = Checkpoint::kSpread;
  std::vector<TablespaceMapping> tablespace_mappings = {};
  std::string label = "standfast base backup";
  std::optional<std::string> wal_directory = {};
  std::optional<std::string> move_old_to = {};  ///< where a directory that is replaced is kept
  std::optional<std::uint64_t> max_rate_bytes_per_second = {};
  bool write_recovery_settings = false;              ///< -R
  std::optional<std::string> application_name = {};  ///< of the standby, for -R
  FromStandby from_standby = FromStandby::kNotSaid;
  bool replace = false;
  bool keep_staging = false;     ///< --no-clean
  bool sync = true;              ///< -N turns it off
  bool verify_checksums = true;  ///< -k turns it off
  std::optional<pg::SystemId> expected_system_id = {};
  /// Of the secret store, named for the slot: made for `connect`, and of no use to anybody when the copy is
  /// given up. Such a copy makes no slot.
  std::vector<std::string> login_files = {};
  /// Stops the server that runs in the target; without it a running server is refused. Called once, after
  /// every check that can be made before.
  std::function<base::Result<void>()> stop_server = {};
};

/// Of a copy from an agent.
struct AgentFacts {
  std::string member;
  std::size_t streams = 0;
  std::uint64_t fetched_bytes = 0;
  std::uint64_t equal_bytes = 0;  ///< were there already, as the source has them now
  bool pages_checked = false;
  bool manifest_written = false;
  std::vector<DamagedPage> damaged = {};  ///< the first ones; only where it was allowed
  std::uint64_t damaged_count = 0;
};

struct CloneFacts {
  pg::SystemId system_id;
  pg::Version server_version;
  bool source_is_standby = false;
  pg::TimelineId timeline;
  pg::Lsn start_lsn;
  pg::Lsn stop_lsn;
  std::uint64_t bytes = 0;  ///< of all files but the streamed WAL
  std::uint64_t wal_bytes = 0;
  std::uint64_t files = 0;
  std::uint64_t tablespaces = 0;
  bool manifest_checked = false;  ///< a server without manifests gives none
  std::optional<AgentFacts> agent = {};
  base::Clock::duration elapsed{};
  std::optional<std::string> moved_aside_to = {};
  std::optional<std::string> slot = {};
  bool slot_was_created = false;
};

/// What a clone would do, found out without a BASE_BACKUP (--dry-run).
struct ClonePlan {
  pg::SystemId system_id;
  pg::Version server_version;
  bool source_is_standby = false;
  pg::TimelineId timeline;
  pg::Lsn wal_position;
  std::string target;
  std::string staging;
  std::optional<std::string> inside_because = {};  ///< why the target stays and its entries are exchanged
  std::optional<std::string> moves_aside_to = {};
  std::optional<std::string> moves_old_to = {};
  std::optional<std::string> first = {};       ///< what would be done for an interrupted run
  std::optional<std::string> agent = {};       ///< through which the files would come
  std::optional<std::string> drops_slot = {};  ///< of a rejoin that did not end
  bool stops_server = false;
};

struct CloneEnvironment {
  env::FileSystem& files;
  const env::StopEvent& stop;
  base::Reporter& reporter;
};

class StagedClone {
 public:
  ~StagedClone();
  StagedClone(StagedClone&&) noexcept;
  StagedClone& operator=(StagedClone&&) noexcept;

  const std::string& staging_path() const;
  const std::string& target() const;  ///< the directory itself, if a link to it was given
  const CloneFacts& facts() const;
  base::Result<CloneFacts> put_in_place();

 private:
  friend class Fetch;
  struct State;
  explicit StagedClone(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Connects and checks, changes nothing here or there.
base::Result<ClonePlan> plan_clone(const CloneOptions& options, const CloneEnvironment& environment);
/// The lines of the plan that say where the copy and the old directory would go.
std::vector<std::string> describe_places(const ClonePlan& plan);
/// Into the target that is claimed, whatever the options call it. The claim outlives the copy.
base::Result<StagedClone> fetch_clone(const CloneOptions& options, const CloneEnvironment& environment,
                                      const Claim& claim);

/// The directory that a path given by the user means; says so when that was a symbolic link.
base::Result<std::string> target_of(const std::string& path, const CloneEnvironment& environment);
/// The same, and this run has it for itself.
base::Result<Claim> claim_target(const std::string& path, const CloneEnvironment& environment);
/// Takes away what an interrupted run has left for the next one: its folders, the login that was made for it,
/// and the slot that it made, over the connection of the options or, where they say none, the one that it
/// noted; of a rejoin, where it had changed nothing. False: there was nothing. kTargetRefused: a rejoin has
/// changed the directory.
enum class AbandonMode : std::uint8_t { kApply, kDryRun };
base::Result<bool> abandon_copy(const CloneOptions& options, const CloneEnvironment& environment,
                                AbandonMode mode);

/// Moves the old directory on, if a run into the target (this one, or one that was killed) has still to.
/// Gives its place then.
base::Result<std::optional<std::string>> move_old_directory(const Claim& claim,
                                                            const CloneEnvironment& environment);

}  // namespace standfast::clone
