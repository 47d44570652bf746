// The journal of a clone: whatever is read names nothing but what a clone makes, and is read again as the
// same. The first character says where the journal lies.
#include <algorithm>
#include <string>

#include "clone/swap.h"
#include "env/file_system.h"
#include "fuzz_input.h"

namespace {

namespace clone = standfast::clone;

constexpr std::string_view kTarget = "/srv/pg/data";

bool has_zero_byte(const std::string& path) {
  return path.find('\0') != std::string::npos;
}

/// A rename stays in the folders whose entries are exchanged, or takes the target or its staging folder
/// whole.
bool is_of_a_clone(const std::string& path, const clone::Journal& journal) {
  const std::string target(kTarget);
  if (has_zero_byte(path) || path != standfast::env::absolute_path(path)) return false;
  if (path == target || path == clone::staging_path_of(target, journal.placing) ||
      clone::is_old_path_of(target, path) || standfast::env::is_same_or_inside(path, target))
    return true;
  return std::any_of(journal.placement->roots.begin(), journal.placement->roots.end(),
                     [&](const auto& root) { return standfast::env::is_same_or_inside(path, root.folder); });
}

void check_moves(const clone::Journal& journal) {
  const clone::SwapPlan plan = clone::plan_swap(std::string(kTarget), journal);
  std::vector<clone::Move> moves = plan.between;
  if (plan.first) moves.push_back(*plan.first);
  moves.push_back(plan.last);
  for (const clone::Move& move : moves)
    CHECK(is_of_a_clone(move.from, journal) && is_of_a_clone(move.to, journal));
  for (const std::string& folder : plan.old_folders) CHECK(is_of_a_clone(folder, journal));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = standfast::fuzz::as_text(data, size);
  const clone::Placing placing = text.starts_with('i') ? clone::Placing::kInside : clone::Placing::kBeside;
  text.remove_prefix(std::min<std::size_t>(1, text.size()));
  const std::string target(kTarget);
  const auto journal = clone::parse_journal(std::string(text), target, placing);
  if (!journal) return 0;
  CHECK(journal->placing == placing && journal->process >= 0);
  for (const std::string& folder : journal->folders)
    CHECK(clone::is_staging_path(folder) && !has_zero_byte(folder));
  if (journal->placement) check_moves(*journal);
  if (journal->old)
    CHECK(clone::is_old_path_of(target, journal->old->path) && journal->old->move_to[0] == '/');
  const std::string again = clone::text_of(*journal);
  CHECK(clone::text_of(clone::parse_journal(again, target, placing).value()) == again);
  return 0;
}
