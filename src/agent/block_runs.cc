#include "agent/block_runs.h"

#include <algorithm>
#include <cstddef>

#include "agent/messages.h"
#include "base/check.h"

namespace standfast::agent {
namespace {

/// Appends what lies between the two positions, joined to what ends where it begins.
void append(std::vector<FileRange>& ranges, std::uint64_t begin, std::uint64_t end) {
  while (begin < end) {
    FileRange* const last = ranges.empty() ? nullptr : &ranges.back();
    const bool goes_on = last != nullptr && last->offset + last->length_bytes == begin;
    if (!goes_on || last->length_bytes == kMaxRangeBytes) {
      ranges.push_back({.offset = begin, .length_bytes = 0});
      continue;
    }
    const std::uint64_t taken = std::min<std::uint64_t>(end - begin, kMaxRangeBytes - last->length_bytes);
    last->length_bytes += static_cast<std::uint32_t>(taken);
    begin += taken;
  }
}

/// Where the stretch ends in a file of that size.
std::uint64_t end_within(const Stretch& stretch, std::uint64_t size_bytes) {
  if (size_bytes <= stretch.offset) return stretch.offset;
  return stretch.offset + std::min(stretch.length_bytes, size_bytes - stretch.offset);
}

}  // namespace

StretchPlan plan_stretch(const Stretch& stretch, const HashedFile& ours, const HashedFile& source) {
  CHECK(stretch.run_bytes > 0);
  StretchPlan plan;
  const std::uint64_t our_end = end_within(stretch, ours.size_bytes);
  const std::uint64_t source_end = end_within(stretch, source.size_bytes);
  std::size_t run = 0;
  for (std::uint64_t begin = stretch.offset; begin < source_end; ++run) {
    const std::uint64_t length = std::min<std::uint64_t>(stretch.run_bytes, source_end - begin);
    const bool is_as_long =
        our_end > begin && std::min<std::uint64_t>(stretch.run_bytes, our_end - begin) == length;
    const bool is_equal = is_as_long && run < ours.hashes.size() && run < source.hashes.size() &&
                          ours.hashes[run] == source.hashes[run];
    if (!is_equal) append(plan.fetch, begin, begin + length);
    begin += length;
  }
  const bool source_ends =
      source.size_bytes <= stretch.offset || source.size_bytes - stretch.offset <= stretch.length_bytes;
  if (source_ends && ours.size_bytes > source.size_bytes) plan.truncate_to = source.size_bytes;
  return plan;
}

std::vector<FileRange> plan_all(const Stretch& stretch, std::uint64_t size_bytes) {
  std::vector<FileRange> ranges;
  append(ranges, stretch.offset, end_within(stretch, size_bytes));
  return ranges;
}

}  // namespace standfast::agent
