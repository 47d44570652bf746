// What a configuration means for a witness, and what of another one it takes up while it runs.
//
// Pure. Fails with kUsage for what is missing or does not go together.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "wal/retention.h"
#include "witness/config.h"
#include "witness/receiver.h"
#include "witness/server.h"

namespace standfast::witness {

inline constexpr std::uint16_t kDefaultWitnessPort = 5433;

struct WitnessOptions {
  ReceiverOptions receiver;
  ServerOptions server;  ///< folder and facts are filled in
  std::size_t max_slots = 16;
  wal::RetentionRules retention = {};
};
base::Result<WitnessOptions> options_of(const WitnessConfig& config);

struct ReloadPlan {
  WitnessConfig config;  ///< to go by from now on
  std::vector<std::string_view> taken_up = {};
  std::vector<std::string_view> needs_restart = {};  ///< stays as it is
};
ReloadPlan plan_reload(const WitnessConfig& running, const WitnessConfig& wanted);

}  // namespace standfast::witness
