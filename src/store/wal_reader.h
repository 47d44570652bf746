// Bytes of the WAL in a folder, by timeline and position (replication/walsender.c WalSndSegmentOpen(),
// WALRead()).
//
// The segment in which a timeline was left is read under the name of the timeline that followed, which begins
// with the same bytes, or else under its own. A segment may get its final name, or be compressed, between two
// reads: what is open stays open, and what is opened is looked for under all its names.
//
// Threading: one thread a reader, any number of readers of a folder that is being written. Ownership: owns
// one open segment; borrows the FileSystem. Invariant: what the end is that may be read up to is the
// caller's matter. Whoever removes a segment must not write to its file before every reader of it is past it.
// Fails: kIo, kPermission; kDamaged for a segment that is shorter than was asked for.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "store/segment_source.h"
#include "wal/serve_actions.h"

namespace standfast::store {

/// The timelines under whose names a segment with bytes of `timeline` may be, the best first.
std::vector<pg::TimelineId> names_of_segment(const wal::serve::StoreView& view, pg::TimelineId timeline,
                                             pg::Lsn segment_start, std::uint64_t segment_bytes);

class WalReader {
 public:
  WalReader(env::FileSystem& files, std::string folder, std::uint64_t segment_bytes);

  enum class Outcome : std::uint8_t { kRead, kGone };
  /// Fills all of `into`, which lies in one segment.
  base::Result<Outcome> read(const wal::serve::StoreView& view, pg::TimelineId timeline, pg::Lsn start,
                             std::span<std::byte> into);

 private:
  base::Result<Outcome> try_read(const wal::serve::StoreView& view, pg::TimelineId timeline, pg::Lsn start,
                                 std::span<std::byte> into);
  /// False: it is not there.
  base::Result<bool> open(const std::vector<pg::TimelineId>& names, pg::Lsn segment_start);
  base::Result<bool> open(const SegmentEntry& entry);

  env::FileSystem& files_;
  const std::string folder_;
  const std::uint64_t segment_bytes_;
  std::unique_ptr<SegmentSource> source_;
  SegmentEntry open_entry_;
  pg::TimelineId read_as_;  ///< the timeline that the open segment was looked for
  pg::Lsn position_;        ///< of what source_ gives next
};

}  // namespace standfast::store
