// What is in a folder of WAL, for people: by timeline, runs of segments of one form, what lacks between them,
// and how far the segment that is not full is whole.
//
// Threading: one thread; another process may write to the folder meanwhile. Fails: kIo, kPermission.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "pg/format/lsn.h"
#include "pg/format/timeline_history.h"
#include "store/wal_folder.h"

namespace standfast::store {

/// WAL that no segment of a timeline, or of those it came from, has.
struct WalGap {
  pg::TimelineId timeline;
  pg::Lsn from, to;
};
/// In the order of the timelines. `histories` are those that are known.
std::vector<WalGap> find_gaps(const WalFolder& folder, const std::vector<pg::TimelineHistory>& histories,
                              std::uint64_t segment_bytes);
/// Those whose files are in the folder and make sense.
base::Result<std::vector<pg::TimelineHistory>> read_histories(env::FileSystem& files, const std::string& path,
                                                              const WalFolder& folder);

struct SegmentRun {
  SegmentEntry first;
  pg::Lsn last_start;
  std::uint64_t segments = 0;
  std::uint64_t bytes = 0;  ///< that the files have
  /// Of a .partial one: where its last whole record ends; no value where none does, or where what it begins
  /// with cannot be proven.
  std::optional<pg::Lsn> proven_end = {};
};
struct TimelineListing {
  pg::TimelineId timeline;
  bool has_history_file = false;
  std::optional<pg::TimelineSwitch> began_by = {};  ///< as its history says
  std::vector<SegmentRun> runs;
  std::vector<WalGap> gaps;
};
struct WalListing {
  std::optional<WalOrigin> origin;  ///< none: no segment tells
  std::vector<TimelineListing> timelines;
};
base::Result<WalListing> list_wal(env::FileSystem& files, const std::string& folder);

}  // namespace standfast::store
