#include "clone/swap.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "clone/inner_folder.h"
#include "clone/rejoin_journal.h"

namespace standfast::clone {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::string_view kGlobal = "global";

Result<void> sync_parents(env::FileSystem& files, const std::vector<Move>& moves) {
  std::set<std::string> folders;
  for (const Move& move : moves) {
    folders.insert(env::parent_of(move.from));
    folders.insert(env::parent_of(move.to));
  }
  for (const std::string& folder : folders) TRY(files.sync_directory(folder));
  return base::ok();
}

Result<void> make_old_folders(env::FileSystem& files, const SwapPlan& plan) {
  for (const std::string& folder : plan.old_folders) {
    TRY(files.make_directory(folder, 0700));
    TRY(files.sync_directory(env::parent_of(folder)));
  }
  return base::ok();
}

/// What was not renamed, or is renamed back already, is at its old place; something else has the new name
/// then.
Result<void> move_back(env::FileSystem& files, const Move& move) {
  if (TRY(files.inspect(move.from)) || !TRY(files.inspect(move.to))) return base::ok();
  return files.rename_no_replace(move.to, move.from);
}

/// A link of the old directory, or a folder of its that was a disk of its own, leads to what was kept.
Result<void> lead_to(env::FileSystem& files, const std::string& link, const std::string& place) {
  if (const auto info = TRY(files.inspect(link))) {
    if (info->kind != env::FileKind::kSymlink || TRY(files.read_symlink(link)) == place) return base::ok();
  }
  const std::string temporary = link + ".standfast-tmp";
  if (TRY(files.inspect(temporary))) TRY(files.remove_file(temporary));
  TRY(files.make_symlink(place, temporary));
  TRY(files.rename_over(temporary, link));
  return files.sync_directory(env::parent_of(link));
}

}  // namespace

SwapPlan plan_swap(const std::string& target, const Journal& journal) {
  const JournalPlacement& placement = *journal.placement;
  SwapPlan plan;
  const std::string staging = staging_path_of(target, journal.placing);
  if (journal.placing == Placing::kBeside) {
    if (placement.has_old) plan.first = {target, old_path_of(target, journal.placing, placement.time)};
    plan.last = {staging, target};
  } else {
    plan.last = {fmt::format("{}/{}", staging, kGlobal), fmt::format("{}/{}", target, kGlobal)};
  }
  for (const SwapRoot& root : placement.roots) {
    const std::string old = inner_old_of(root.folder, placement.time);
    if (!root.outgoing.empty()) plan.old_folders.push_back(old);
    for (const std::string& name : root.outgoing) {
      Move move{root.folder + "/" + name, old + "/" + name};
      if (root.folder == target && name == kGlobal) {
        plan.first = std::move(move);
      } else {
        plan.between.push_back(std::move(move));
      }
    }
  }
  for (const SwapRoot& root : placement.roots) {
    for (const std::string& name : root.incoming) {
      Move move{inner_new_of(root.folder) + "/" + name, root.folder + "/" + name};
      if (move.to != plan.last.to) plan.between.push_back(std::move(move));
    }
  }
  return plan;
}

Result<void> perform_swap(env::FileSystem& files, const std::string& target, const Journal& journal,
                          SyncFiles sync, mode_t mode) {
  const SwapPlan plan = plan_swap(target, journal);
  const auto perform = [&](const std::vector<Move>& moves) -> Result<void> {
    for (const Move& move : moves) TRY(files.rename_no_replace(move.from, move.to));
    return sync == SyncFiles::kYes ? sync_parents(files, moves) : base::ok();
  };
  TRY(make_old_folders(files, plan));
  if (plan.first) TRY(perform({*plan.first}));
  TRY(perform(plan.between));
  if (journal.placement->mode_before) TRY(files.set_mode(target, mode));
  // An empty folder gives way in the same step; one that is not empty any more does not.
  if (journal.placement->target_was_empty) return files.rename_over(plan.last.from, plan.last.to);
  return files.rename_no_replace(plan.last.from, plan.last.to);
}

Result<PlacementState> placement_state(env::FileSystem& files, const std::string& target,
                                       const Journal& journal) {
  if (!journal.placement) return PlacementState::kNone;
  const Move last = plan_swap(target, journal).last;
  if (TRY(files.inspect(last.from))) return PlacementState::kUndone;
  if (TRY(files.inspect(last.to))) return PlacementState::kPlaced;
  return Error(
      ErrorCode::kTargetRefused,
      fmt::format("the copy that was being put in place in \"{}\" is gone", target),
      fmt::format("Neither \"{}\" nor \"{}\" exists. Look into the journal, \"{}\", put back by hand "
                  "what was moved, and remove it.",
                  last.from, last.to, journal_path_of(target, journal.placing)));
}

Result<PlacementState> undo_swap(env::FileSystem& files, const std::string& target, Journal& journal) {
  const PlacementState state = TRY(placement_state(files, target, journal));
  if (state != PlacementState::kUndone) return state;
  const SwapPlan plan = plan_swap(target, journal);
  if (plan.first && TRY(files.inspect(plan.first->from)) && TRY(files.inspect(plan.first->to))) {
    return Error(ErrorCode::kTargetRefused,
                 fmt::format("\"{}\" was moved to \"{}\", and something else has its place", plan.first->from,
                             plan.first->to),
                 "Look at both. Take away what is new, and run this again: it moves the other one back.");
  }
  for (auto move = plan.between.rbegin(); move != plan.between.rend(); ++move) TRY(move_back(files, *move));
  std::vector<Move> there = plan.between;
  // A folder that was to be made need not be there.
  for (const std::string& folder : plan.old_folders) {
    if (TRY(files.inspect(folder))) continue;
    std::erase_if(there, [&](const Move& move) { return env::parent_of(move.to) == folder; });
  }
  TRY(sync_parents(files, there));
  if (journal.placement->mode_before) TRY(files.set_mode(target, *journal.placement->mode_before));
  if (plan.first) {
    TRY(move_back(files, *plan.first));
    TRY(files.sync_directory(env::parent_of(plan.first->from)));
  }
  for (const std::string& folder : plan.old_folders)
    if (TRY(files.inspect(folder))) TRY(files.remove_directory(folder));
  journal.placement.reset();
  TRY(write_journal(files, target, journal));
  return PlacementState::kUndone;
}

Result<void> finish_swap(env::FileSystem& files, const std::string& target, Journal& journal,
                         SyncFiles sync) {
  const SwapPlan plan = plan_swap(target, journal);
  const JournalPlacement placement = *journal.placement;
  if (sync == SyncFiles::kYes) {
    TRY(files.sync_directory(env::parent_of(plan.last.to)));
    const std::string staging = env::parent_of(plan.last.from);
    if (TRY(files.inspect(staging))) TRY(files.sync_directory(staging));
  }
  const std::string old = old_path_of(target, journal.placing, placement.time);
  if (placement.has_old) {
    for (const SwapRoot& root : placement.roots) {
      if (!root.old_entry.empty() && !root.outgoing.empty())
        TRY(lead_to(files, old + "/" + root.old_entry, inner_old_of(root.folder, placement.time)));
    }
  }
  for (const std::string& folder : journal.folders) TRY(remove_staging(files, folder));
  // That of a rejoin was about the directory before; beside, it went with that.
  if (journal.placing == Placing::kInside && TRY(files.inspect(rejoin_journal_path(target))))
    TRY(remove_rejoin_journal(files, target));
  if (placement.has_old && journal.move_old_to) {
    journal.old = JournalOld{old, *journal.move_old_to};
    journal.placement.reset();
    journal.folders.clear();
    journal.slot.reset();
    journal.copy.reset();
    TRY(write_journal(files, target, journal));
  } else {
    TRY(remove_journal(files, target, journal));
  }
  for (const SwapRoot& root : placement.roots) remove_inner_folder(files, root.folder);
  return base::ok();
}

std::vector<std::string> kept_places_of(const std::string& target, const Journal& journal) {
  std::vector<std::string> places;
  if (!journal.placement || !journal.placement->has_old) return places;
  places.push_back(old_path_of(target, journal.placing, journal.placement->time));
  for (const SwapRoot& root : journal.placement->roots) {
    if (!root.old_entry.empty() && !root.outgoing.empty())
      places.push_back(inner_old_of(root.folder, journal.placement->time));
  }
  return places;
}

}  // namespace standfast::clone
