// Who runs a command that touches a data directory. Its owner does. Root becomes the owner in a child
// process, for good; the root process that stays only waits, passes signals on, and calls the service manager
// or the firewall when the child asks and its own check agrees. Anyone else is refused.
//
// Threading: called once, from a process with one thread. Ownership: the RootHelper is the child's for the
// time of the call. Invariant: code in `body` never has root's rights. The child has no way back. Fails:
// kPermission for the wrong user, or a data directory of root; kPrecondition when root has no user to become;
// kIo when no process can be made.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "pg/server/root_helper.h"

namespace standfast::cli {

enum class AgentLeave : std::uint8_t { kRefused, kGiven };
enum class DataDirectory { kMustExist, kMayBeMissing };
/// Of the root process, while it waits.
enum class OnHangup { kEnd, kPassOn };

struct OwnerRule {
  std::string data_directory;  ///< "" when the command has none (a demo in a temporary folder)
  DataDirectory existence = DataDirectory::kMustExist;
  /// Whom root becomes where the directory does not tell, because it is missing or there is none. Absent: the
  /// owner of the nearest folder above it that is not root's, else "postgres".
  std::optional<std::string> user = {};
  /// Addresses that the root process may let through the firewall when it is asked.
  std::vector<std::string> firewall_addresses = {};
  std::size_t firewall_ports = 1;  ///< so many
  /// Whether the root process may enable the agent's unit for this directory.
  AgentLeave agent = AgentLeave::kRefused;
  OnHangup on_hangup = OnHangup::kEnd;
  std::string what_runs = "PostgreSQL";  ///< for messages: what root is not to be
};

/// Runs `body` as the owner and gives its exit code. `body` gets null where there is no root to ask.
base::Result<int> run_as_owner(env::FileSystem& files, const OwnerRule& rule,
                               const std::function<int(server::RootHelper*)>& body);

}  // namespace standfast::cli
