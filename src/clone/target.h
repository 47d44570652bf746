// Which directories a clone may be put into. The rules that keep it from destroying anything:
//
//   - missing or empty: taken. Not empty: refused unless it is to be replaced.
//   - Only a directory with PG_VERSION that belongs to the effective user is ever moved aside.
//   - One with a running server is refused, unless the caller has a way to stop that server.
//   - One that holds the source's own system identifier and is not in recovery is the primary: refused
//   always.
//   - One inside another data directory, or around one, is refused; so are symbolic links and mount points,
//     which a rename cannot put in place.
//
// Threading: one thread. Nothing is changed here. Fails with kTargetRefused, kInUse (a running server),
// kPermission, kIo.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "env/file_system.h"
#include "pg/format/control_file.h"
#include "pg/format/lsn.h"

namespace standfast::clone {

enum class TargetKind : std::uint8_t { kMissing, kEmpty, kDataDirectory };
enum class OnDataDirectory : std::uint8_t { kRefuse, kReplace };
enum class OnRunningServer : std::uint8_t { kRefuse, kReport };

struct TargetRules {
  OnDataDirectory on_data_directory = OnDataDirectory::kRefuse;
  OnRunningServer on_running_server = OnRunningServer::kRefuse;
  /// Whom the copy comes from; without it the check against the primary is left out, so that what is wrong
  /// with the target itself can be told before anything is connected to.
  std::optional<pg::SystemId> source = {};
};

struct TargetState {
  std::string path;  ///< absolute
  TargetKind kind = TargetKind::kMissing;
  std::optional<pg::ControlFile> control;  ///< of a data directory, where it can be read
  std::optional<pid_t> running_server;     ///< only with OnRunningServer::kReport
};

base::Result<TargetState> inspect_target(env::FileSystem& files, const std::string& path,
                                         const TargetRules& rules);

/// A folder outside the data directory that the copy needs (a tablespace, --waldir): absolute, missing or
/// empty, and not inside `target`. `what` names it in the error ("tablespace 16385").
enum class OutsideKind : std::uint8_t { kMissing, kEmpty };
base::Result<OutsideKind> inspect_outside_folder(env::FileSystem& files, const std::string& path,
                                                 const std::string& target, const std::string& what);

/// The process of postmaster.pid, if it exists and works in that directory (PostgreSQL changes into its data
/// directory); a process that may not be looked at counts as one.
base::Result<std::optional<pid_t>> running_server_of(env::FileSystem& files, const std::string& directory);

}  // namespace standfast::clone
