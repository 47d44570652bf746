// What a run that was killed while it put its copy in place has left to be done, before anything else: its
// renames undone or finished, so that there is the old directory or the new one, whole.
//
// Threading: one thread. Fails: kInUse while that run is alive, kTargetRefused, kPermission, kIo.
#pragma once

#include <optional>
#include <string>

#include "base/reporter.h"
#include "base/result.h"
#include "clone/journal.h"
#include "clone/swap.h"
#include "env/file_system.h"

namespace standfast::clone {

struct Interrupted {
  PlacementState state = PlacementState::kNone;  ///< what its renames would come to
  Placing placing = Placing::kBeside;
  bool has_old = false;
  std::optional<JournalOld> old = {};  ///< still to be moved on
};
/// Looks only.
base::Result<std::optional<Interrupted>> find_interrupted(env::FileSystem& files, const std::string& target);
/// A line for --dry-run.
std::string describe(const Interrupted& interrupted, const std::string& target);

/// Undoes or finishes the renames. An old directory that is to be moved on is left to move_old().
base::Result<void> settle_interrupted(env::FileSystem& files, const std::string& target,
                                      base::Reporter& reporter);

}  // namespace standfast::clone
