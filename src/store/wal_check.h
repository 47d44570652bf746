// Whether the WAL in a folder is whole: all its records are followed, from segment to segment and from
// timeline to timeline.
//
// The valid end of a timeline is the end of its last record up to which nothing was found. While a receiver
// writes to the folder, it is that of the moment in which its last segment was read: more may be there since,
// and what is there need not be on the disk yet; what was acknowledged is never behind it.
//
// Threading: one thread. Fails: kIo, kPermission, kCancelled; kPrecondition where there is no WAL to be
// checked. Damage is no failure but a finding.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/reporter.h"
#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/format/lsn.h"

namespace standfast::store {

enum class FindingKind : std::uint8_t { kDamage, kGap, kNotWhole, kBadJoint };
struct WalFinding {
  FindingKind kind = FindingKind::kDamage;
  pg::TimelineId timeline;
  pg::Lsn at;
  std::string file;  ///< empty for a gap
  std::string what;
};
struct CheckedTimeline {
  pg::TimelineId timeline;
  pg::Lsn start;
  /// Later than `start` where it lies within a record whose beginning is not in the folder.
  pg::Lsn proven_from;
  pg::Lsn valid_end;  ///< invalid: no record ends in it
  std::uint64_t segments = 0;
  std::uint64_t bytes = 0;
};
struct WalCheck {
  std::vector<CheckedTimeline> timelines;
  std::vector<WalFinding> findings;  ///< in the order of the WAL
};

struct WalCheckOptions {
  std::string folder;
  std::optional<pg::TimelineId> timeline = {};  ///< all when absent
};
base::Result<WalCheck> check_wal(env::FileSystem& files, const WalCheckOptions& options,
                                 base::Reporter& reporter, const env::StopEvent& stop);

}  // namespace standfast::store
