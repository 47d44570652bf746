// A timeline's history file: where each timeline before it ended (access/timeline.h, readTimeLineHistory()).
//
// Pure. Comments and lines that are not understood are passed over, as a person may have added some; what is
// left must lead upwards, or there is no value.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "pg/format/lsn.h"

namespace standfast::pg {

struct TimelineSwitch {
  TimelineId parent;
  Lsn at;  ///< the parent's end, the first byte of the next one
  bool operator==(const TimelineSwitch&) const = default;
};

/// "1\t0/3000148\tno recovery target specified", a line for each ancestor, the oldest first.
class TimelineHistory {
 public:
  /// Timeline 1 has no file, and an empty text is its history.
  static std::optional<TimelineHistory> parse(TimelineId timeline, std::string_view text);

  TimelineId timeline() const { return timeline_; }
  const std::vector<TimelineSwitch>& switches() const { return switches_; }
  bool contains(TimelineId timeline) const;
  /// Where an ancestor ended; no value for the newest, or one that is not in it.
  std::optional<Lsn> end_of(TimelineId timeline) const;
  /// Where a timeline of it began; the first of all begins at 0/0.
  std::optional<Lsn> begin_of(TimelineId timeline) const;
  std::optional<TimelineId> after(TimelineId timeline) const;

 private:
  TimelineId timeline_;
  std::vector<TimelineSwitch> switches_;
};

}  // namespace standfast::pg
