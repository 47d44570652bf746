// Whether two copies of a range of WAL are the same as far as records go: what follows a segment switch in
// its segment counts for nothing and may differ (record_scanner.h says why).
//
// Threading: a value. Never fails: what cannot be understood in our copy is not compared, and does not count.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "pg/format/lsn.h"
#include "wal/record_scanner.h"

namespace standfast::wal {

class OverlapComparison {
 public:
  /// Begins at a page.
  explicit OverlapComparison(const RecordScanner::Options& options) : options_(options), ours_(options) {}

  /// The bytes that come next of both, as many of each; the first ones with the whole of a page header, which
  /// alone tells that the range begins in what a switch left.
  void feed(base::Bytes ours, base::Bytes theirs);

  pg::Lsn position() const { return position_; }
  /// The first byte that is not the same.
  const std::optional<pg::Lsn>& difference() const { return difference_; }
  std::uint64_t compared_bytes() const { return compared_bytes_; }

 private:
  /// Up to which position of what comes next both must be the same.
  std::size_t take_ours(base::Bytes bytes);

  RecordScanner::Options options_;
  RecordScanner ours_;
  pg::Lsn position_ = options_.start;
  std::optional<pg::Lsn> difference_;
  std::uint64_t compared_bytes_ = 0;
};

}  // namespace standfast::wal
