// `standby rejoin`: an old data directory, of the source's system, diverged after a failover or not, becomes
// a standby of the source by moving only what differs (agent_copy.h is the algorithm).
//
//   look     whose it is, how far its WAL goes, and what of it the source never had (rejoin_judgement.h)
//   hold     the source's WAL, by a slot, which the journal has if it is made; then its agent begins a backup
//            and the disks have room for what it brings
//   aside    pg_control and pg_wal are taken out and kept (rejoin_aside.h)
//   copy     the directory becomes what the agent lists, while WAL is streamed; label, manifest, settings
//   place    pg_control, last
//
// Threading: one thread; inside there are those of the copy and of the WAL. Ownership: borrows the
// environment. Invariants: what the source lacks is only given up where that is said; before `aside` nothing
// in the directory has changed, and a failure leaves it as it was (a server that ran there stopped); from
// `aside` to `place` no server starts from it, and the same call goes on.
// Fails: kTargetRefused for a directory that is no old one of the source's, is ahead of it, or has diverged
// without leave; kDiskFull before anything is changed; kInUse, kPrecondition, kVersion; and as clone.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "clone/clone.h"
#include "clone/rejoin_judgement.h"
#include "clone/room.h"

namespace standfast::clone {

enum class OnDivergence : std::uint8_t { kRefuse, kDiscard };

struct RejoinOptions {
  /// Of these: connect, target, slot, slot_use, agent, checkpoint, tablespace_mappings, label, rate,
  /// application_name, verify_checksums, stop_server.
  CloneOptions copy;
  OnDivergence on_divergence = OnDivergence::kRefuse;
};

/// What the directory has that the source lacks, and where the two stand.
struct RejoinJudgement {
  Judgement lines;
  pg::TimelineId old_timeline;
  pg::Lsn old_end;
  pg::TimelineId source_timeline;
  std::optional<std::uint64_t> lost_transactions = {};  ///< no value: not known, or nothing is lost
  Kinship kinship = Kinship::kFollower;
};
/// "its WAL from 0/3000148 on timeline 1 to 0/3000200, which the source lacks, ..."
std::string describe(const RejoinJudgement& judgement);

struct RejoinFacts {
  pg::SystemId system_id;
  pg::Version server_version;
  RejoinJudgement judgement;
  pg::Lsn start_lsn;
  pg::Lsn stop_lsn;
  pg::TimelineId timeline;
  AgentFacts agent;
  std::uint64_t total_bytes = 0;
  std::uint64_t wal_bytes = 0;
  std::string kept;  ///< where the old WAL, configuration and pg_control are (rejoin_aside.h)
  std::optional<std::string> slot = {};
  bool slot_was_created = false;
  base::Clock::duration elapsed{};
};

struct RejoinPlan {
  pg::SystemId system_id;
  pg::Version server_version;
  RejoinJudgement judgement;
  bool goes_on = false;  ///< with what an interrupted run left
  bool stops_server = false;
  std::string member;  ///< whose agent it is
  std::uint64_t total_bytes = 0;
  std::uint64_t moved_bytes = 0;
  std::vector<DiskNeed> disks = {};  ///< each has the room
};

/// Connects, checks, and compares within a backup of the agent's; changes nothing in the directory.
base::Result<RejoinPlan> plan_rejoin(const RejoinOptions& options, const CloneEnvironment& environment);
base::Result<RejoinFacts> run_rejoin(const RejoinOptions& options, const CloneEnvironment& environment);

}  // namespace standfast::clone
