// The renames that put a copy in place, as a plan; how they are done, undone and finished.
//
// What makes a server start comes last: the new data directory itself (beside), or its folder `global` with
// pg_control (inside). What made the old one start goes first. Between the two there is nothing that a server
// starts on, however far the rest has come, so a half is never taken for a whole.
//
// Threading: one thread. plan_swap() is pure.
// Invariants: the journal has the placement before the first rename. perform_swap() and undo_swap() may be
// killed at any point, and undo_swap() may be repeated. Nothing is replaced, nothing removed but folders of
// ours. With sync, each step is durable before the next one begins.
// Fails: kTargetRefused when something is not where either run can have left it; kIo, kPermission, kDiskFull.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "clone/journal.h"
#include "env/file_system.h"

namespace standfast::clone {

enum class SyncFiles : std::uint8_t { kNo, kYes };

struct Move {
  std::string from;
  std::string to;
};

struct SwapPlan {
  std::vector<std::string> old_folders = {};  ///< to be made for what goes out
  std::optional<Move> first = {};             ///< takes away what the old server starts on
  std::vector<Move> between = {};
  Move last;  ///< brings what the new one starts on
};
SwapPlan plan_swap(const std::string& target, const Journal& journal);

/// `mode`: of a target that stays.
base::Result<void> perform_swap(env::FileSystem& files, const std::string& target, const Journal& journal,
                                SyncFiles sync, mode_t mode);

/// What the renames of a run that was killed, or that failed, come to.
enum class PlacementState : std::uint8_t {
  kNone,    ///< there were none
  kUndone,  ///< the copy is whole in its staging folders, and what was there before is back
  kPlaced,  ///< all were done: the copy is in place
};
/// Looks only: what undo_swap() would come to.
base::Result<PlacementState> placement_state(env::FileSystem& files, const std::string& target,
                                             const Journal& journal);
/// Undoes the renames that a journal notes, unless the last was done, and notes that.
base::Result<PlacementState> undo_swap(env::FileSystem& files, const std::string& target, Journal& journal);

/// After the last rename, in the same run or a later one: the old directory's links lead to what it had, the
/// staging folders go, and the journal too unless the old directory is to be moved on.
base::Result<void> finish_swap(env::FileSystem& files, const std::string& target, Journal& journal,
                               SyncFiles sync);

/// The old data directory's own place and those of what it had outside; for messages.
std::vector<std::string> kept_places_of(const std::string& target, const Journal& journal);

}  // namespace standfast::clone
