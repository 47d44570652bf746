// `standfast standby promote`: a standby becomes a primary, and it is said what that leaves behind.
//
// Before: where the standby is, and where its primary was last known to be, by asking the primary if it
// answers and by what the standby's receiver had heard. A primary that answers and takes writes is a danger:
// after the promotion there are two, and what clients write to the old one is lost to the new one. That needs
// a yes. After: the timeline and the LSN at which it began, from its history file (access/timeline.h).
//
// Threading: one thread. Fails with kPrecondition (no standby, not running, the primary still runs and nobody
// said yes), kCancelled (the answer was no), and as server/control.h does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "pg/format/lsn.h"
#include "setup/environment.h"
#include "setup/standby_control.h"

namespace standfast::setup {

enum class OnLivingPrimary : std::uint8_t { kAsk, kPromoteAnyway };

/// What could be learnt of the primary before the promotion.
enum class PrimaryState : std::uint8_t {
  kRuns,         ///< it answers, and takes writes
  kRunsStandby,  ///< it answers, and is itself a standby
  kAnswers,      ///< something answers there, but does not let us ask
  kUnreachable,
  kUnknown  ///< the standby does not say where its primary is
};
std::string_view name_of(PrimaryState state);

struct PrimaryBefore {
  PrimaryState state = PrimaryState::kUnknown;
  std::string where;                  ///< "10.20.20.1 port 5432", or ""
  std::string why;                    ///< it cannot be asked
  std::optional<pg::Lsn> last_known;  ///< its WAL position
  bool was_asked = false;  ///< last_known is its own answer, not what the receiver had heard before
};

struct StandbyBefore {
  std::optional<pg::TimelineId> timeline;
  std::optional<pg::Lsn> received, replayed;
  bool is_replay_paused = false;
  base::Milliseconds apply_delay{};
};

struct PromotionOutcome {
  bool planned_only = false;
  StandbyBefore standby;
  PrimaryBefore primary;
  std::optional<pg::TimelineId> timeline;  ///< the new one
  std::optional<pg::Lsn> begins_at;        ///< the first byte that is not shared with the old primary
  base::Clock::duration elapsed{};

  /// WAL of the primary beyond what the new one has; no value when nothing was known of the primary.
  std::optional<std::uint64_t> bytes_left_behind() const;
};

base::Result<PromotionOutcome> run_promotion(const StandbyOptions& options, OnLivingPrimary on_living_primary,
                                             const SetupEnvironment& environment);

// The parts, for tests.

struct TimelineSwitch {
  pg::TimelineId parent;
  pg::Lsn at;
};
/// The last line of a timeline history file: "1\t0/3000148\tno recovery target specified".
std::optional<TimelineSwitch> last_switch_in(std::string_view history);
/// What the promotion leaves behind, in one line.
std::string describe_gap(const PromotionOutcome& outcome);

}  // namespace standfast::setup
