#include "clone/interrupted.h"

#include <fmt/format.h>

namespace standfast::clone {

using base::Result;

Result<std::optional<Interrupted>> find_interrupted(env::FileSystem& files, const std::string& target) {
  const auto journal = TRY(read_stale_journal(files, target));
  if (!journal || (!journal->placement && !journal->old)) return std::optional<Interrupted>();
  Interrupted found;
  found.state = TRY(placement_state(files, target, *journal));
  found.placing = journal->placing;
  found.has_old = journal->placement && journal->placement->has_old;
  found.old = journal->old;
  return std::optional(std::move(found));
}

std::string describe(const Interrupted& interrupted, const std::string& target) {
  switch (interrupted.state) {
    case PlacementState::kUndone:
      return fmt::format(
          "would first rename back what an interrupted clone was renaming to put its copy in place in \"{}\"",
          target);
    case PlacementState::kPlaced:
      return fmt::format("would first tidy up after an interrupted clone, whose copy is in place in \"{}\"",
                         target);
    case PlacementState::kNone:
      break;
  }
  return interrupted.old ? fmt::format("would first move \"{}\" on to \"{}\"", interrupted.old->path,
                                       interrupted.old->move_to)
                         : "";
}

Result<void> settle_interrupted(env::FileSystem& files, const std::string& target, base::Reporter& reporter) {
  auto journal = TRY(read_stale_journal(files, target));
  if (!journal) return base::ok();
  switch (TRY(undo_swap(files, target, *journal))) {
    case PlacementState::kNone:
      return base::ok();
    case PlacementState::kUndone:
      reporter.info(
          "an interrupted clone was putting its copy in place: what it had renamed is renamed back");
      return base::ok();
    case PlacementState::kPlaced:
      // Its slot belongs to that copy now.
      reporter.info("an interrupted clone had put its copy in place in \"" + target + "\"");
      return finish_swap(files, target, *journal, SyncFiles::kYes);
  }
  return base::ok();
}

}  // namespace standfast::clone
