// The options by which a copy is told how its files come: --from, --agent, -j, --allow-damage.
//
// Threading: one thread. Ownership: lives as long as the command. Fails with kUsage.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "clone/clone.h"

namespace CLI {
class App;
}

namespace standfast::cli {

class AgentArguments {
 public:
  /// Where the agent is may be known from a token.
  enum class Place : std::uint8_t { kAsked, kKnown };
  /// kAgentAlone: there is no other way, and no --from.
  enum class Ways : std::uint8_t { kAll, kAgentAlone };
  void declare(CLI::App& app, const std::string& group, Place place, Ways ways = Ways::kAll);
  base::Result<clone::AgentUse> read() const;

 private:
  std::string way_ = "auto";
  std::string address_;
  std::string streams_;
  bool allow_damage_ = false;
};

}  // namespace standfast::cli
