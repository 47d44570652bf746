// What lies in a folder of WAL: segments that are whole, segments that are not (.partial), compressed ones,
// timeline histories (access/xlog_internal.h IsXLogFileName() and its like; bin/pg_basebackup/pg_receivewal.c
// for the endings). Other names are nobody's concern and are left alone.
//
// Pure but for list_wal_folder(). A folder may hold a million segments: one entry is a few words.
// Fails: kIo, kPermission.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "pg/format/lsn.h"

namespace standfast::store {

enum class SegmentForm : std::uint8_t { kWhole, kPartial, kLz4, kZstd, kGzip };
std::string_view ending_of(SegmentForm form);  ///< "", ".partial", ".lz4", ".zst", ".gz"

struct SegmentEntry {
  pg::TimelineId timeline;
  pg::Lsn start;
  SegmentForm form = SegmentForm::kWhole;
};
/// By timeline, then position; of two forms of one segment the whole one comes first, .partial last.
bool operator<(const SegmentEntry& a, const SegmentEntry& b);

struct WalFolder {
  std::vector<SegmentEntry> segments;  ///< sorted
  std::vector<pg::TimelineId> histories;

  /// The best form of a segment; null where it is not there.
  const SegmentEntry* find(pg::TimelineId timeline, pg::Lsn start) const;
};

std::optional<SegmentEntry> parse_segment_file_name(std::string_view name, std::uint64_t segment_bytes);
std::optional<pg::TimelineId> parse_history_file_name(std::string_view name);
std::string segment_file_name(const SegmentEntry& entry, std::uint64_t segment_bytes);
base::Result<WalFolder> list_wal_folder(env::FileSystem& files, const std::string& folder,
                                        std::uint64_t segment_bytes);
/// What the segments of a folder say of their server; from the first one whose header can be read.
struct WalOrigin {
  std::uint64_t segment_bytes = 0;
  pg::SystemId system_id;
  std::uint16_t page_magic = 0;
};
base::Result<std::optional<WalOrigin>> describe_wal_folder(env::FileSystem& files, const std::string& folder);

}  // namespace standfast::store
