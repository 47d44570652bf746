// `standfast verify`: proof that what is written on the primary arrives on the standby. Receiver, sender and
// slot are looked at, system identifier and timeline compared, then a marker row is written and waited for;
// with a database to create, replica_demo goes the same way as in the seed.
//
// Given one side, finds the other: a standby's primary through its primary_conninfo as the monitor role, a
// primary's standby at the address its sender streams to. If the standby admits no such login the proof is
// the sender's replay position, and the outcome says so. Of a standby that follows a standby the marker is
// written on the primary at the top; where that cannot be asked, a check says at which hop, and what is
// proven is that the standby has all that the one above it had.
//
// Threading: one thread. What it writes it removes, also after Ctrl-C; what a killed run left is removed by
// the next. Fails: as connections and statements do. That replication does not work is not a failure of
// run_verify() but the outcome's verdict.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "pg/client/connection.h"
#include "setup/environment.h"

namespace standfast::setup {

enum class DatabaseProof : std::uint8_t { kNo, kCreateReplicaDemo };

struct VerifyOptions {
  /// One or both sides, any order. To create a database the primary must be among them, or the monitor role
  /// of a standby's primary may do it.
  std::vector<client::ConnectOptions> servers;
  /// application_name or slot, when the primary has several standbys.
  std::optional<std::string> standby_name = {};
  DatabaseProof database = DatabaseProof::kNo;
  base::Clock::duration timeout = std::chrono::seconds(30);  ///< of each wait for the standby
};

enum class CheckResult : std::uint8_t { kOk, kWarning, kFailed, kSkipped };
std::string_view describe(CheckResult result);  ///< "ok", "warning", "failed", "skipped"

struct Check {
  std::string number;  ///< of the seed's step
  std::string name;    ///< "receiver", "sender", "slot", "system identifier", "timeline", "way up",
                       ///< "collations", "commit", "marker", "position", "replica_demo"
  CheckResult result = CheckResult::kOk;
  std::string seen;  ///< one line
};

enum class ProofKind : std::uint8_t {
  kSeenOnStandby,
  kReplayedBySender,
  /// The primary could not be asked: the standby has replayed what the standby above it had.
  kLevelWithStandbyAbove,
};

struct VerifyOutcome {
  std::vector<Check> checks;
  ProofKind proof = ProofKind::kSeenOnStandby;
  std::optional<base::Clock::duration> marker_time;  ///< from the commit on the primary to the standby
  /// Of the marker, where commits wait for somebody; none too when it was not acknowledged in time.
  std::optional<base::Clock::duration> commit_time;
  std::optional<base::Clock::duration> database_time;  ///< likewise, for replica_demo
  /// What is wrong, with the code that is the exit code: kNotStreaming, kNotReplicating, kReplayPaused,
  /// kReplayDelayed, kSlotInactive, kPrecondition. None: it replicates.
  std::optional<base::Error> failure;
};

/// Says each check to the reporter as it is made.
base::Result<VerifyOutcome> run_verify(const VerifyOptions& options, const SetupEnvironment& environment);

}  // namespace standfast::setup
