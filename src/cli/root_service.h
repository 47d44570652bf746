// The end of the channel that stays root: what it does for its child, and what it refuses.
//
// Threading: one thread, with SIGCHLD blocked and waited for by whoever calls reap(). Each request is served
// by a process of its own, one after the other: the next one waits for the end of the one before, so what a
// request finds is never half of what another does. Ownership: owns its end of the channel; borrows the
// FileSystem.
// Invariant: the child is not believed. The data directory must be the one that the command was started for,
// where it was then, and belong to whom it belonged to; the unit must run it. The firewall is opened only to
// addresses that the user named to root, for as many ports as the command has use for, and closed only where
// this run opened it. The agent's unit is enabled only where the user asked for an agent, and gets to know
// the data directory from root alone; a configuration that is there is not changed. Each request ends by its
// own deadline, and none may have a later one than is allowed here. Fails: what is refused is answered with
// kPermission.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "cli/as_owner.h"
#include "cli/root_channel.h"
#include "env/file_system.h"
#include "env/stop_event.h"

namespace standfast::cli {

/// A data directory as it was when root's half began. The clone's last rename puts another directory in its
/// place, so it is the folder it lies in that has to stay the same.
struct HeldDirectory {
  struct Id {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    bool operator==(const Id&) const = default;
  };
  std::string path;  ///< "" when the command has none
  uid_t owner = 0;   ///< of the directory, and whom the child became
  /// The path without links, as far as it was there; none for a link that led nowhere, because a run that was
  /// killed had moved the directory aside.
  std::optional<std::string> resolved = {};
  std::optional<Id> folder = {};  ///< that it lies in, where that one was there
};
base::Result<HeldDirectory> hold_directory(env::FileSystem& files, const std::string& path, uid_t owner);
/// Where it is, without links; kPermission when another directory is in its place, or somebody else's.
base::Result<std::string> find_held(env::FileSystem& files, const HeldDirectory& held);

/// What root may do with the firewall in this run, and what of it is done.
class FirewallLeave {
 public:
  explicit FirewallLeave(std::vector<std::string> addresses, std::size_t max_ports = 1)
      : addresses_(std::move(addresses)), max_ports_(max_ports) {}

  /// What is done for a request. The first ports asked for are the run's. What this run did not open is not
  /// closed, only looked at.
  base::Result<server::FirewallRequest> admit(server::FirewallRequest request);
  void note_opened(const server::FirewallRequest& request) {
    opened_.emplace_back(request.address_cidr, request.port);
  }
  void note_closed(const server::FirewallRequest& request) {
    std::erase(opened_, Opening(request.address_cidr, request.port));
  }
  /// Requests that undo what was opened and not closed again.
  std::vector<server::FirewallRequest> closings() const;

 private:
  using Opening = std::pair<std::string, std::uint16_t>;
  std::vector<std::string> addresses_;
  std::size_t max_ports_;
  std::vector<std::uint16_t> ports_ = {};
  std::vector<Opening> opened_ = {};
};

/// What the user asked for when he started the command as root; root does nothing else.
struct RootLeave {
  HeldDirectory directory;
  FirewallLeave firewall;
  AgentLeave agent = AgentLeave::kRefused;
};

base::Result<void> serve_unit_request(env::FileSystem& files, const HeldDirectory& directory,
                                      std::string_view message);

/// Writes the agent's configuration where it is missing. kPrecondition for one that is there and does not
/// name that directory.
base::Result<void> configure_agent(env::FileSystem& files, const std::string& configuration,
                                   const std::string& data_directory);
base::Result<void> serve_agent_request(env::FileSystem& files, const RootLeave& leave,
                                       const std::string& configuration, base::Milliseconds timeout);

class RootService {
 public:
  RootService(env::FileSystem& files, RootLeave leave, Channel channel)
      : files_(files), leave_(std::move(leave)), channel_(std::move(channel)) {}

  /// Readable when there is a request; -1 while one is served, or when the child will send no more.
  int fd() const { return worker_ > 0 ? -1 : channel_.fd(); }
  void take_request();
  /// To be called when a process has ended.
  void reap();

  enum class ChildEnd { kByItself, kKilled };
  /// The child has gone: what it asked of the firewall is brought to its end, and what it can no longer
  /// put back is put back here.
  void finish(ChildEnd end);

 private:
  enum class Outcome { kNothing, kOpened, kClosed };  ///< of a request, as its process ends with it
  void serve(const Numbered& request);
  void serve_firewall(std::uint64_t number, const TimedFirewallRequest& request);
  Outcome change_firewall(std::uint64_t number, const TimedFirewallRequest& request) const;
  template <typename Work>
  void start_worker(std::uint64_t number, const Work& work);
  void wait_for_worker();
  void take_outcome(int status);
  void answer(std::uint64_t number, std::string text) const;

  env::FileSystem& files_;
  RootLeave leave_;
  Channel channel_;
  pid_t worker_ = 0;
  std::optional<server::FirewallRequest> changing_;  ///< what the worker does, if it is the firewall's
};

}  // namespace standfast::cli
