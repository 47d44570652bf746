#include "wal/database_moves.h"

#include <algorithm>

namespace standfast::wal {
namespace {

/// Such a record has some fifty bytes.
constexpr std::uint32_t kMostRecordBytes = 128;
/// With the headers of pages that it runs over.
constexpr std::size_t kRecentBytes = kMostRecordBytes + pg::kWalLongHeaderBytes;

/// Of the record's own bytes, from `at` on, what page headers lie between.
std::string without_page_headers(std::string_view raw, pg::Lsn at, std::uint64_t segment_bytes) {
  std::string own;
  while (!raw.empty()) {
    if (at.value() % pg::kWalPageBytes == 0) {
      const bool is_long = at.value() % segment_bytes == 0;
      const std::size_t header =
          std::min(is_long ? pg::kWalLongHeaderBytes : pg::kWalShortHeaderBytes, raw.size());
      raw.remove_prefix(header);
      at = at + header;
    }
    const std::uint64_t to_page_end = pg::kWalPageBytes - at.value() % pg::kWalPageBytes;
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(to_page_end, raw.size()));
    own += raw.substr(0, count);
    raw.remove_prefix(count);
    at = at + count;
  }
  return own;
}

}  // namespace

DatabaseMoves::DatabaseMoves(const Options& options)
    : options_(options),
      scanner_({.start = options.from.segment_start(options.segment_bytes),
                .timeline = options.timeline,
                .segment_bytes = options.segment_bytes}) {}

void DatabaseMoves::feed(base::Bytes bytes) {
  const pg::Lsn start = scanner_.position();
  base::Bytes rest = bytes;
  while (!rest.empty() && !first_ && !scanner_.damage()) {
    const auto before = scanner_.last_record();
    rest = rest.subspan(scanner_.feed_to_next_end(rest));
    if (scanner_.last_record() != before) judge_record(bytes, start);
  }
  keep_recent(bytes);
}

void DatabaseMoves::judge_record(base::Bytes chunk, pg::Lsn chunk_start) {
  const pg::WalRecordHeader& header = scanner_.last_header();
  const pg::Lsn at = *scanner_.last_record();
  if (!header.is_database_copy() || header.total_bytes > kMostRecordBytes || at < options_.from) return;
  const auto copy = pg::parse_database_copy(base::as_bytes(record_bytes(chunk, chunk_start)));
  if (copy && copy->database == copy->source_database) first_ = DatabaseMove{at, copy->database};
}

/// Of the record that has just ended within the chunk.
std::string DatabaseMoves::record_bytes(base::Bytes chunk, pg::Lsn chunk_start) const {
  const pg::Lsn at = *scanner_.last_record();
  const auto before = std::min(static_cast<std::size_t>(chunk_start.bytes_since(at)), recent_.size());
  std::string raw = recent_.substr(recent_.size() - before);
  const auto begin = static_cast<std::size_t>(at.bytes_since(chunk_start));
  const auto end = static_cast<std::size_t>(scanner_.complete_end().bytes_since(chunk_start));
  raw += base::as_text(chunk.subspan(begin, end - begin));
  return without_page_headers(raw, at, options_.segment_bytes);
}

void DatabaseMoves::keep_recent(base::Bytes chunk) {
  recent_ += base::as_text(chunk.last(std::min(kRecentBytes, chunk.size())));
  if (recent_.size() > kRecentBytes) recent_.erase(0, recent_.size() - kRecentBytes);
}

}  // namespace standfast::wal
