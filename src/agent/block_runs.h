// What is to be fetched of a file so that it becomes equal to the source's: all of it where there is none
// yet, else the runs of blocks whose hashes differ.
//
// A file is gone through in stretches, so that what is held is bounded by the stretch, not by the file.
// Hashes are of runs from the start of the stretch on, as RangeHashes has them; what the source sends counts
// for equal only where its hash is there, is ours, and is of a run as long as ours.
//
// Threading: pure functions on values. Invariants: ranges ascend, do not overlap, are within the source's
// file, are at most kMaxRangeBytes long, and begin where a run begins or kMaxRangeBytes after the one before:
// with runs of whole pages no page is cut.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/hash128.h"

namespace standfast::agent {

/// As ReadRange asks for it.
struct FileRange {
  std::uint64_t offset = 0;
  std::uint32_t length_bytes = 0;
  bool operator==(const FileRange&) const = default;
};

/// A part of a file, as HashRange asks for it. It may reach beyond the end of a file.
struct Stretch {
  std::uint64_t offset = 0;
  std::uint64_t length_bytes = 0;
  std::uint32_t run_bytes = 0;  ///< more than 0 (CHECK)
};

/// What one side has of it.
struct HashedFile {
  std::uint64_t size_bytes = 0;  ///< of the whole file
  std::span<const base::Hash128> hashes;
};

struct StretchPlan {
  std::vector<FileRange> fetch;
  /// Ours is longer than the source's, which ends in this stretch or before it: it is to have this size.
  std::optional<std::uint64_t> truncate_to;
};
StretchPlan plan_stretch(const Stretch& stretch, const HashedFile& ours, const HashedFile& source);

/// The same where there is nothing of ours: all that the source's file of `size_bytes` has of the stretch.
std::vector<FileRange> plan_all(const Stretch& stretch, std::uint64_t size_bytes);

}  // namespace standfast::agent
