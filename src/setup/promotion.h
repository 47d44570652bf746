// `standfast standby promote`: a standby becomes a primary, and it is said what that leaves behind.
//
// Before: where the standby is, and where its primary was last known to be, by asking the primary if it
// answers and by what the standby's receiver had heard. A primary that answers and takes writes is a danger:
// after the promotion there are two, and what clients write to the old one is lost to the new one. That needs
// a yes. After: the timeline and the LSN at which it began, from its history file (access/timeline.h).
//
// What makes it safe is that before all that each witness is asked (promotion_witnesses.h): what one of them
// has and the standby has not may be a commit that was acknowledged, so the standby first streams that from
// there, and all are asked again until none has more (promotion_gather.h). Where that cannot be, also because
// a witness does not answer, nothing is promoted, unless the user accepts the loss. restore_command's exit
// code is no such check. That a primary cannot be reached does not say that it is dead: a witness that goes
// on getting WAL has one that lives.
//
// Threading: one thread. Fails with kPrecondition (no standby, not running, the primary still runs and nobody
// said yes, a witness has more or cannot be asked, replay is paused where it must stay so), kTimeout (what a
// witness has does not come), kCancelled (the answer was no), and as server/control.h does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pg/format/lsn.h"
#include "setup/environment.h"
#include "setup/promotion_look.h"
#include "setup/promotion_witnesses.h"
#include "setup/standby_control.h"

namespace standfast::setup {

enum class OnMissingWal : std::uint8_t { kRefuse, kAcceptLoss };

struct PromotionOptions {
  StandbyOptions standby;
  OnLivingPrimary on_living_primary = OnLivingPrimary::kAsk;
  OnMissingWal on_missing_wal = OnMissingWal::kRefuse;
  std::vector<WitnessToAsk> witnesses = {};         ///< besides those that the database names
  std::vector<std::string> without_witnesses = {};  ///< names of those that are not asked
};

struct PromotionOutcome {
  bool planned_only = false;
  StandbyBefore standby;
  PrimaryBefore primary;
  std::vector<WitnessBefore> witnesses_at_first;  ///< what each answered when it was asked first
  std::vector<WitnessBefore> witnesses;           ///< what each answered last
  std::optional<std::string> streamed_from;       ///< the witness that the standby got WAL from
  /// Why it would be refused (a dry run), or what was accepted; none: no witness has more.
  std::optional<std::string> not_safe_because;
  std::optional<pg::TimelineId> timeline;  ///< the new one
  std::optional<pg::Lsn> begins_at;        ///< the first byte that is not shared with the old primary
  base::Clock::duration elapsed{};
  std::vector<WitnessBefore> witnesses_after;  ///< judged against the new timeline
  std::string synchronous_standby_names;       ///< of the new primary
  bool commits_stand_still = false;            ///< too few of those names stream from it

  /// WAL of the primary, as far as it and the witnesses were last known, beyond what the new one has; no
  /// value when nothing was known of it.
  std::optional<std::uint64_t> bytes_left_behind() const;
};

base::Result<PromotionOutcome> run_promotion(const PromotionOptions& options,
                                             const SetupEnvironment& environment);

}  // namespace standfast::setup
