#include "clone/unfinished.h"

#include <algorithm>

#include "clone/folder_bytes.h"
#include "clone/journal.h"
#include "clone/places.h"
#include "clone/rejoin_aside.h"
#include "clone/swap.h"
#include "clone/target.h"
#include "env/lock_file.h"

namespace standfast::clone {

using base::Result;

namespace {

/// By its lock, and where there can be none by what its journal says.
bool is_held(const std::string& target) {
  constexpr auto kPlacings = std::to_array({Placing::kInside, Placing::kBeside});
  return std::any_of(kPlacings.begin(), kPlacings.end(), [&](Placing placing) {
    const auto holder = env::holder_of_lock(lock_path_of(target, placing));
    return holder && holder->has_value();
  });
}

Result<NextRun> next_run(env::FileSystem& files, const std::string& target, const Journal& journal) {
  if (journal.placement && TRY(placement_state(files, target, journal)) == PlacementState::kUndone)
    return NextRun::kRenamesBack;
  return journal.copy ? NextRun::kGoesOn : NextRun::kBeginsAnew;
}

/// No value: what the journal is there for is something else than a copy that lacks a part.
Result<std::optional<Unfinished>> unfinished_copy(env::FileSystem& files, const std::string& target) {
  const auto journal = TRY(read_journal(files, target));
  if (!journal) return std::optional<Unfinished>();
  const bool is_placed =
      journal->placement && TRY(placement_state(files, target, *journal)) == PlacementState::kPlaced;
  const bool holds_something = !journal->folders.empty() || journal->slot;
  if (is_placed || !holds_something || (journal->kept && !journal->slot)) return std::optional<Unfinished>();
  Unfinished found;
  found.target = target;
  found.is_at_work = is_held(target) || is_at_work(files, *journal);
  found.next = TRY(next_run(files, target, *journal));
  if (journal->copy) {
    found.begun = describe_time_in_name(journal->copy->begun);
    found.system_id = journal->copy->system_id;
    found.source = journal->copy->source;
    found.slot = journal->copy->slot;
  }
  if (journal->slot) {
    found.system_id = journal->slot->system_id;
    if (journal->slot->conninfo) found.source = journal->slot->conninfo;
    found.slot = journal->slot->name;
    found.made_slot = true;
  }
  std::uint64_t bytes = 0;
  for (const std::string& folder : journal->folders) {
    if (!TRY(files.inspect(folder))) continue;
    found.folders.push_back(folder);
    // While it is being made files come and go: how much it is then is not worth a failure.
    bytes += bytes_below(files, folder).value_or(0);
  }
  found.bytes = bytes;
  return std::optional(std::move(found));
}

Result<std::optional<Unfinished>> unfinished_rejoin(env::FileSystem& files, const std::string& target) {
  if (!TRY(read_rejoin_journal(files, target))) return std::optional<Unfinished>();
  const OldDirectory old = TRY(look_at_old_directory(files, target));
  if (!old.journal) return std::optional<Unfinished>();
  Unfinished found;
  found.kind = Unfinished::Kind::kRejoin;
  found.target = target;
  found.is_at_work = is_held(target);
  found.is_in_pieces = old.is_in_pieces;
  found.has_begun = TRY(files.inspect(kept_folder_of(*old.journal))).has_value();
  found.begun = describe_time_in_name(old.journal->time);
  found.system_id = old.journal->system_id;
  found.source = old.journal->source;
  found.made_slot = old.journal->created_slot.has_value();
  found.slot = found.made_slot ? old.journal->created_slot : old.journal->slot;
  return std::optional(std::move(found));
}

}  // namespace

Result<std::vector<Unfinished>> find_unfinished(env::FileSystem& files, const std::string& target) {
  const std::string resolved = TRY(resolve_target(files, target));
  std::vector<Unfinished> found;
  if (auto copy = TRY(unfinished_copy(files, resolved))) found.push_back(*std::move(copy));
  if (auto rejoin = TRY(unfinished_rejoin(files, resolved))) found.push_back(*std::move(rejoin));
  return found;
}

}  // namespace standfast::clone
