// Where a standby that is to be promoted is, and where its primary was last known to be.
//
// The primary is asked, if it answers; else what the standby's receiver had heard counts.
//
// Threading: one thread. Fails: never, but where somebody has to say yes; what is not known is absent, with
// the reason beside it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pg/format/control_file.h"
#include "pg/format/lsn.h"
#include "pg/server/cluster.h"
#include "setup/environment.h"
#include "setup/join_settings.h"
#include "setup/server_facts.h"

namespace standfast::setup {

/// What could be learnt of the primary before the promotion.
enum class PrimaryState : std::uint8_t {
  kRuns,         ///< it answers, and takes writes
  kRunsStandby,  ///< it answers, and is itself a standby
  kServesWal,    ///< a witness, which does not say whether there is a primary behind it
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

StandbyBefore standby_before(const ServerFacts& facts);
/// From the control file, when the standby cannot be asked: where a start would have to get to at least.
StandbyBefore standby_before(const pg::ControlFile& control);
/// Where its primary is, of a standby that does not answer.
ServerFacts facts_on_disk(const server::Cluster& cluster, const pg::ControlFile& control,
                          const SetupEnvironment& environment);
PrimaryBefore primary_before(const ServerFacts& standby, const SetupEnvironment& environment);

/// Why a paused replay must not be let go on before the witnesses were followed.
struct PausedReplay {
  std::string target;           ///< the recovery_target* that is set, if any
  std::vector<TooLow> too_low;  ///< settings that are below the primary's
};
std::optional<base::Error> reason_to_stay_paused(const PausedReplay& paused);

/// What somebody has to say yes to: with -y, or when he is asked.
enum class OnLivingPrimary : std::uint8_t { kAsk, kPromoteAnyway };
struct Danger {
  std::string what, then;
  std::string remedy;  ///< a sentence
};
base::Result<void> get_leave(const Danger& danger, OnLivingPrimary leave,
                             const SetupEnvironment& environment);

/// Something runs there that may take writes.
bool is_alive(PrimaryState state);

// In one line each.
std::string describe_standby(const StandbyBefore& standby);
std::string describe_primary(const PrimaryBefore& primary);
std::string lsn_text(const std::optional<pg::Lsn>& lsn);
std::string timeline_text(const std::optional<pg::TimelineId>& timeline);

}  // namespace standfast::setup
