// Which directories a clone may be put into. The rules that keep it from destroying anything:
//
//   - missing or empty: taken. Not empty: refused unless it is to be replaced.
//   - Only a directory with PG_VERSION that belongs to the effective user is ever moved aside.
//   - One with a running server is refused, unless the caller has a way to stop that server.
//   - One that holds the source's own system identifier and is not in recovery is the primary: refused
//   always.
//   - One inside another data directory, or around one, is refused; so is a symbolic link: resolve_target()
//     gives the directory it points to.
//   - One that no rename can put in place (a mount point, one with a disk mounted in it, one in a folder that
//     may not be written) keeps its place, and its entries are exchanged.
//
// Threading: one thread. Nothing is changed here. Fails with kTargetRefused, kInUse (a running server),
// kPermission, kIo.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "clone/places.h"
#include "env/file_system.h"
#include "env/mount_table.h"
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
  /// Why it has to keep its place, if it has to.
  std::optional<std::string> inside_because = {};
  std::vector<std::string> mounted_entries = {};  ///< names in it that are mount points

  Placing placing() const { return inside_because ? Placing::kInside : Placing::kBeside; }
};

/// The absolute path; that of the directory itself where a symbolic link to one was given, also of one that
/// an interrupted run has moved aside.
base::Result<std::string> resolve_target(env::FileSystem& files, const std::string& path);

/// kTargetRefused.
base::Error refuse(std::string message, std::string hint);

base::Result<TargetState> inspect_target(env::FileSystem& files, const std::string& path,
                                         const TargetRules& rules);

/// The names in a folder but for those that count as nothing: our own, and what root's mkfs made.
base::Result<std::vector<std::string>> entries_of(env::FileSystem& files, const std::string& folder);
bool may_write_in(const std::string& folder);
/// Why a directory that exists has to keep its place: a rename of the whole would fail, or would take a
/// mounted disk along.
base::Result<std::optional<std::string>> why_it_stays(env::FileSystem& files, const std::string& target,
                                                      const env::MountsAt& mounts);
/// The folder whose disk takes nearly all of a copy: that of `base`, which may be mounted for itself.
std::string folder_of_bulk(const TargetState& target);
/// Refuses a path inside a data directory.
base::Result<void> refuse_inside_data_directory(env::FileSystem& files, const std::string& target);

/// The process of postmaster.pid, if it exists and works in that directory (PostgreSQL changes into its data
/// directory); a process that may not be looked at counts as one.
base::Result<std::optional<pid_t>> running_server_of(env::FileSystem& files, const std::string& directory);

}  // namespace standfast::clone
