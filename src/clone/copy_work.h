// The work of a copy, cut so that any number of fetchers is kept busy: a stretch of a large file by itself,
// or a handful of small files together, the longest first.
//
// Threading: plan_units() is pure; a WorkQueue is used by any number of threads. Ownership: values.
// Invariant: the pieces of a file begin at multiples of the stretch, do not overlap and cover it; an empty
// file has one piece without bytes. A unit has at most max_pieces, so that what a fetcher has open is
// bounded.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "clone/copy_layout.h"

namespace standfast::clone {

struct Piece {
  std::size_t file = 0;  ///< its place in CopyLayout::files
  std::uint64_t offset = 0;
  std::uint64_t length_bytes = 0;
  bool operator==(const Piece&) const = default;
};
using WorkUnit = std::vector<Piece>;

struct WorkRules {
  std::uint64_t stretch_bytes = std::uint64_t{32} << 20U;
  std::uint64_t small_unit_bytes = std::uint64_t{4} << 20U;  ///< pieces below that are put together up to it
  std::size_t max_pieces = 16;
};

/// Enough to keep this host's cores busy without fighting over its disks, and to fill a fast link however
/// long the way is: a stream has no more on the way than a socket's buffer holds.
std::size_t default_streams(std::size_t cores, std::optional<std::chrono::microseconds> round_trip);

/// All files but `left_out`.
std::vector<WorkUnit> plan_units(std::span<const PlannedFile> files, std::size_t left_out,
                                 const WorkRules& rules);
/// Into how many pieces a file is cut.
std::uint64_t pieces_of(const PlannedFile& file, const WorkRules& rules);

class WorkQueue {
 public:
  explicit WorkQueue(std::vector<WorkUnit> units) : units_(std::move(units)) {}
  /// Null: there is no more.
  const WorkUnit* next() {
    const std::size_t index = next_.fetch_add(1, std::memory_order_relaxed);
    return index < units_.size() ? &units_[index] : nullptr;
  }

 private:
  const std::vector<WorkUnit> units_;
  std::atomic<std::size_t> next_ = 0;
};

}  // namespace standfast::clone
