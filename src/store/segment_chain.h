// The segments that lead up to a position: those of a timeline, and before its beginning those of the
// timelines it came from, if its history file is in the folder. They are looked up by their names, one by
// one: a folder may hold a million.
//
// Another process may write to the folder: a segment that is packed or gets its final name while it is looked
// for is found in its new form.
//
// Threading: one thread. Ownership: borrows the FileSystem. Fails: kIo, kPermission.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "pg/format/lsn.h"
#include "pg/format/timeline_history.h"
#include "store/segment_source.h"
#include "store/wal_folder.h"
#include "wal/record_scanner.h"

namespace standfast::store {

/// A segment in the best form that there is, opened.
struct OpenSegment {
  SegmentEntry entry;
  std::string path;
  std::unique_ptr<SegmentSource> source;
};
/// No value: it is there in no form.
base::Result<std::optional<OpenSegment>> open_segment(env::FileSystem& files, const std::string& folder,
                                                      pg::TimelineId timeline, pg::Lsn start,
                                                      std::uint64_t segment_bytes);

/// A timeline's history file as it is; no value: it is not there. kIo where it has more than `max_bytes`.
base::Result<std::optional<std::string>> read_history_text(env::FileSystem& files, const std::string& folder,
                                                           pg::TimelineId timeline, std::uint64_t max_bytes);
/// A timeline's history if its file is in the folder and makes sense; timeline 1 has none.
base::Result<std::optional<pg::TimelineHistory>> read_history(env::FileSystem& files,
                                                              const std::string& folder,
                                                              pg::TimelineId timeline);

class SegmentChain {
 public:
  struct Options {
    std::string folder;
    pg::TimelineId timeline;
    std::uint64_t segment_bytes = 0;
    std::optional<pg::SystemId> system_id = {};
  };
  static base::Result<SegmentChain> open(env::FileSystem& files, Options options);

  const std::optional<pg::TimelineHistory>& history() const { return history_; }
  /// The segment that begins at `start`, of the newest timeline that may have it.
  base::Result<std::optional<OpenSegment>> open_at(pg::Lsn start) const;
  /// A scanner at a segment's start that has followed the record which goes on there, from its beginning or
  /// from the first whole segment that is there without a gap. kDamaged where one of these is damaged.
  base::Result<wal::RecordScanner> follow_to(pg::Lsn start);
  /// The same, but one that knows of nothing before where follow_to() fails.
  wal::RecordScanner scanner_at(pg::Lsn start);
  /// One that knows of nothing before.
  wal::RecordScanner new_scanner(pg::Lsn start) const;

 private:
  SegmentChain(env::FileSystem& files, Options options);
  base::Result<bool> follow(pg::Lsn start, wal::RecordScanner& scanner);

  env::FileSystem& files_;
  Options options_;
  std::optional<pg::TimelineHistory> history_;
  std::vector<std::byte> buffer_;
};

}  // namespace standfast::store
