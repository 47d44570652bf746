// Names and arithmetic of WAL files (access/xlog_internal.h XLogFileName(), TLHistoryFileName()).
//
// Pure functions on values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pg/format/lsn.h"

namespace standfast::pg {

inline constexpr std::uint64_t kMinWalSegmentBytes = std::uint64_t{1} << 20U;
inline constexpr std::uint64_t kMaxWalSegmentBytes = std::uint64_t{1} << 30U;

/// A power of two from 1 MiB to 1 GiB.
bool is_valid_wal_segment_size(std::uint64_t segment_bytes);

/// The 24 digits of the segment that holds `position`: timeline, and the segment's number in two parts.
std::string wal_segment_name(TimelineId timeline, Lsn position, std::uint64_t segment_bytes);
std::string timeline_history_name(TimelineId timeline);  ///< "00000002.history"

struct WalSegmentId {
  TimelineId timeline;
  Lsn start;
  bool operator==(const WalSegmentId&) const = default;
};
/// The reverse; no value for any other name.
std::optional<WalSegmentId> parse_wal_segment_name(std::string_view name, std::uint64_t segment_bytes);

/// "16MB", "1GB", "8192kB", "64 B": a setting of a server with its unit, as SHOW gives it.
std::optional<std::uint64_t> parse_shown_bytes(std::string_view text);

}  // namespace standfast::pg
