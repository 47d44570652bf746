#include "pg/format/wal_file.h"

#include <bit>
#include <charconv>

#include <fmt/format.h>

#include "base/check.h"

namespace standfast::pg {
namespace {

/// How many segments share the middle eight digits of a name (XLogSegmentsPerXLogId).
std::uint64_t segments_per_id(std::uint64_t segment_bytes) {
  return (std::uint64_t{1} << 32U) / segment_bytes;
}

std::optional<std::uint32_t> parse_eight_hex(std::string_view text) {
  std::uint32_t value = 0;
  for (const char digit : text) {
    std::uint32_t nibble = 0;
    if (digit >= '0' && digit <= '9') {
      nibble = static_cast<std::uint32_t>(digit - '0');
    } else if (digit >= 'A' && digit <= 'F') {
      nibble = static_cast<std::uint32_t>(digit - 'A') + 10;
    } else {
      return std::nullopt;
    }
    value = (value << 4U) | nibble;
  }
  return value;
}

}  // namespace

bool is_valid_wal_segment_size(std::uint64_t segment_bytes) {
  return std::has_single_bit(segment_bytes) && segment_bytes >= kMinWalSegmentBytes &&
         segment_bytes <= kMaxWalSegmentBytes;
}

std::string wal_segment_name(TimelineId timeline, Lsn position, std::uint64_t segment_bytes) {
  CHECK(is_valid_wal_segment_size(segment_bytes));
  const std::uint64_t number = position.value() / segment_bytes;
  const std::uint64_t per_id = segments_per_id(segment_bytes);
  return fmt::format("{:08X}{:08X}{:08X}", timeline.value(), number / per_id, number % per_id);
}

std::string timeline_history_name(TimelineId timeline) {
  return fmt::format("{:08X}.history", timeline.value());
}

std::optional<WalSegmentId> parse_wal_segment_name(std::string_view name, std::uint64_t segment_bytes) {
  if (name.size() != 24 || !is_valid_wal_segment_size(segment_bytes)) return std::nullopt;
  const auto timeline = parse_eight_hex(name.substr(0, 8));
  const auto id = parse_eight_hex(name.substr(8, 8));
  const auto part = parse_eight_hex(name.substr(16, 8));
  const std::uint64_t per_id = segments_per_id(segment_bytes);
  if (!timeline || *timeline == 0 || !id || !part || *part >= per_id) return std::nullopt;
  return WalSegmentId{TimelineId(*timeline), Lsn((*id * per_id + *part) * segment_bytes)};
}

std::optional<std::uint64_t> parse_shown_bytes(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  unsigned shift = 0;
  if (unit == "kB") {
    shift = 10;
  } else if (unit == "MB") {
    shift = 20;
  } else if (unit == "GB") {
    shift = 30;
  } else if (unit == "TB") {
    shift = 40;
  } else if (!unit.empty() && unit != "B") {
    return std::nullopt;
  }
  if (number > (UINT64_MAX >> shift)) return std::nullopt;
  return number << shift;
}

}  // namespace standfast::pg
