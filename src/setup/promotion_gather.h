// A standby that is to be promoted gets all that its witnesses have, in rounds.
//
// A witness may be known only by WAL that is not replayed yet, or that comes from another witness, and one
// whose primary lives goes on getting more. So each round replays what was received, reads the table of
// witnesses, asks all of them anew and judges them against where the standby now is; it ends when none has
// more. Who keeps having more than a moment ago is being written to: its primary lives, whoever cannot reach
// it from here.
//
// Threading: one thread. Ownership: borrows its arguments, which outlive it.
// Fails with: kPrecondition (a witness has more or cannot be asked, and the loss was not accepted; its
// primary lives), kTimeout (what a witness has does not come), kUsage (no witness has that name), kCancelled.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "setup/promotion.h"
#include "setup/promotion_standby.h"

namespace standfast::setup {

class Gathering {
 public:
  Gathering(const PromotionOptions& options, Standby& standby, const SetupEnvironment& environment,
            PromotionOutcome& outcome);

  /// Where the standby and its primary are. What a promotion that was killed has left is put back.
  base::Result<void> look();
  base::Result<void> ask_witnesses();
  /// Of what stands in the way by now.
  base::Result<void> accept_or_refuse();
  void say_what_would_be_done() const;
  /// Until no witness has more. `leave` is what was said of a primary that lives.
  base::Result<void> gather(OnLivingPrimary leave);
  void put_back(Promoted promoted) { session_.put_back(promoted); }
  /// Of the new primary: what the witnesses have now, and whom its commits wait for.
  void look_again();

 private:
  enum class Reached : std::uint8_t { kAll, kGivenUp };

  base::Result<std::vector<WitnessToAsk>> witnesses_of_database();
  base::Result<std::vector<WitnessToAsk>> known_witnesses();
  base::Result<WitnessBefore> ask(const WitnessToAsk& witness);
  std::optional<WitnessBefore> need_not_ask(const WitnessToAsk& witness) const;
  void say_if_new(const WitnessBefore& witness, const std::vector<WitnessBefore>& before) const;
  base::Result<void> replay_what_was_received();
  base::Result<Reached> catch_up(const WitnessBefore& ahead);
  base::Result<void> leave_behind(const WitnessBefore& moving, OnLivingPrimary leave);

  const PromotionOptions& wish_;
  const StandbyOptions& options_;
  Standby& standby_;
  const SetupEnvironment& environment_;
  PromotionOutcome& outcome_;
  StandbySession session_;
  bool can_be_asked_ = false;
  ServerFacts facts_;  ///< as it was found, before anything was changed
  std::optional<WalPosition> position_;
  base::Result<ReplicationLogin> login_;
  std::vector<std::string> standing_reasons_;  ///< not to promote, beside what witnesses answer
  std::vector<std::string> given_up_;          ///< WitnessBefore::describe() of those that are not followed
  std::string accepted_;                       ///< what was last said to be accepted
  bool has_asked_ = false;
};

}  // namespace standfast::setup
