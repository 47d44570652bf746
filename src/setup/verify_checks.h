// What can be judged by looking: receiver, identity, timeline, sender, slot. Facts in, checks out.
//
// Threading: pure functions on values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "setup/server_facts.h"
#include "setup/verify.h"

namespace standfast::setup {

struct PairFacts {
  ServerFacts above;                      ///< what the standby follows
  std::vector<ServerFacts> further = {};  ///< above that, where that is a standby too
  std::optional<ServerFacts> standby = {};
  std::string why_standby_is_not_asked = {};
  std::optional<std::string> standby_name = {};  ///< as the user gave it
};

/// The sender that serves the standby: by its slot, else by its name, else the only one. No value when there
/// is none; kUsage when several fit and nothing says which.
base::Result<std::optional<WalSender>> find_sender(const PairFacts& pair);
/// The slot of this sender.
const Slot* slot_of(const ServerFacts& primary, const WalSender& sender);

struct LookedAt {
  std::vector<Check> checks;
  std::optional<base::Error> failure;  ///< of the first check that failed, or of a lost slot
};
base::Result<LookedAt> look_at_pair(const PairFacts& pair);

/// Why what was written has not been seen yet, as far as the standby tells.
struct WaitState {
  pg::Lsn written;
  base::Clock::duration left{0};  ///< until the deadline
};
/// kReplayPaused or kReplayDelayed, once the standby holds what was written and waiting on cannot help.
std::optional<base::Error> reason_to_stop_waiting(const ServerFacts& standby, const WaitState& state);

}  // namespace standfast::setup
