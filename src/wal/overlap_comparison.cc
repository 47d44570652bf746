#include "wal/overlap_comparison.h"

#include <algorithm>

#include "base/check.h"

namespace standfast::wal {

void OverlapComparison::feed(base::Bytes ours, base::Bytes theirs) {
  CHECK(ours.size() == theirs.size());
  while (!ours.empty() && !difference_) {
    const std::uint64_t to_page_end = pg::kWalPageBytes - position_.value() % pg::kWalPageBytes;
    std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(to_page_end, ours.size()));
    // Behind a segment's last byte nothing tells any more that an unused rest began before it.
    if (count > 1 && (position_ + count).value() % options_.segment_bytes == 0) --count;
    const std::size_t wanted = take_ours(ours.first(count));
    const auto first = ours.begin();
    const auto last = first + static_cast<std::ptrdiff_t>(wanted);
    const auto unlike = std::mismatch(first, last, theirs.begin()).first;
    if (unlike != last) difference_ = position_ + static_cast<std::uint64_t>(unlike - first);
    compared_bytes_ += wanted;
    position_ = position_ + count;
    ours = ours.subspan(count);
    theirs = theirs.subspan(count);
  }
}

std::size_t OverlapComparison::take_ours(base::Bytes bytes) {
  if (ours_.damage() && position_.value() % options_.segment_bytes == 0) {
    options_.start = position_;
    ours_ = RecordScanner(options_);
  }
  const bool was_in_unused_rest = ours_.is_in_unused_rest();
  ours_.feed(bytes);
  if (was_in_unused_rest) return 0;
  // The range began in an unused rest: records begin with the next segment.
  if (ours_.damage()) return 0;
  if (!ours_.is_in_unused_rest()) return bytes.size();
  return std::min<std::size_t>(ours_.complete_end().bytes_since(position_), bytes.size());
}

}  // namespace standfast::wal
