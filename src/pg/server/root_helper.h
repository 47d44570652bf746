// What a process that is not root may ask of the root process that started it. Standfast started as root does
// its work in a child that has become the owner of the data directory for good; the service manager and the
// firewall still need root (cli/as_owner.h has the other end).
//
// Threading: one thread at a time. Ownership: borrowed; lives as long as the command that runs.
// Invariant: the other end checks every request by itself; nothing the child says is believed.
// Fails: kPermission for what the other end refuses, kServerControl when the service manager fails, kTimeout,
// kCancelled.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "env/stop_event.h"

namespace standfast::server {

/// That runs the agent of this host.
inline constexpr std::string_view kAgentUnit = "standfast-agent.service";

enum class UnitAction { kStart, kStop, kRestart };

enum class FirewallAction : std::uint8_t { kAsk, kOpen, kClose };
/// How it is now. kNone: there is no firewall, or it is not active. kPartly: somebody has opened it, but only
/// until its next reload, or only from then on; that is his to settle.
enum class FirewallAnswer : std::uint8_t { kNone, kOpen, kClosed, kPartly };
struct FirewallRequest {
  FirewallAction action = FirewallAction::kAsk;
  std::string address_cidr;  ///< of a standby, as pg::parse_standby_address() gives it
  std::uint16_t port = 0;
};

class RootHelper {
 public:
  virtual ~RootHelper() = default;
  /// systemctl start|stop|restart of a unit that runs the data directory this command was started for.
  virtual base::Result<void> control_unit(UnitAction action, const std::string& unit,
                                          const env::Wait& wait) = 0;
  /// Writes into the agent's configuration which data directory this command was started for, enables
  /// kAgentUnit, and starts it, anew if it runs.
  virtual base::Result<void> enable_agent(const env::Wait& wait) = 0;
  /// Lets a standby that the user named in to the port, or not any more.
  virtual base::Result<FirewallAnswer> change_firewall(const FirewallRequest& request,
                                                       const env::Wait& wait) = 0;
};

}  // namespace standfast::server
