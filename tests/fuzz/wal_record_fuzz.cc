// WAL from anywhere: the input begins at a page, whose header says where that is. Whatever comes, the
// complete end stays behind the position and never goes back, the chunks make no difference, not for the
// moves of databases either, and a scanner that is set back to the complete end comes to the same result from
// there.
#include <algorithm>

#include "fuzz_input.h"
#include "wal/database_moves.h"
#include "wal/record_scanner.h"

namespace {

namespace base = standfast::base;
namespace pg = standfast::pg;
using standfast::wal::DatabaseMoves;
using standfast::wal::RecordScanner;

constexpr std::uint64_t kSegmentBytes = std::uint64_t{1} << 20U;  // that of the seeds
constexpr std::size_t kMostSmallChunks = 8192;

void check_same(const RecordScanner& a, const RecordScanner& b) {
  CHECK(a.complete_end() == b.complete_end());
  CHECK(a.last_record() == b.last_record());
  CHECK(a.damage().has_value() == b.damage().has_value());
  if (a.damage()) CHECK(a.damage()->at == b.damage()->at && a.damage()->what == b.damage()->what);
}

RecordScanner::Options options_of(base::Bytes bytes) {
  RecordScanner::Options options{.start = pg::Lsn(kSegmentBytes),
                                 .timeline = pg::TimelineId(UINT32_MAX),
                                 .segment_bytes = kSegmentBytes};
  const auto header = pg::parse_wal_page_header(bytes);
  if (header && header->is_long() && header->segment_bytes >= pg::kWalPageBytes &&
      header->segment_bytes % pg::kWalPageBytes == 0)
    options.segment_bytes = header->segment_bytes;
  // Far enough from the end of all numbers that no position runs over it.
  if (header && header->page_at.value() % pg::kWalPageBytes == 0 && header->page_at.value() < UINT64_MAX / 2)
    options.start = header->page_at;
  return options;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::Bytes bytes = base::as_bytes(standfast::fuzz::as_text(data, size));
  const RecordScanner::Options options = options_of(bytes);
  RecordScanner whole(options);
  whole.feed(bytes);
  CHECK(whole.complete_end() <= whole.position());
  CHECK(whole.position() <= options.start + size);
  CHECK(whole.damage() || whole.position() == options.start + size);

  const bool is_segment = options.start.value() % options.segment_bytes == 0;
  const DatabaseMoves::Options moves_options{
      .from = options.start, .timeline = options.timeline, .segment_bytes = options.segment_bytes};
  DatabaseMoves moves(moves_options);
  DatabaseMoves moves_in_chunks(moves_options);
  if (is_segment) moves.feed(bytes);
  static_cast<void>(pg::parse_database_copy(bytes));

  RecordScanner in_chunks(options);
  const std::size_t chunk_bytes = 1 + (size == 0 ? 0 : data[size - 1]) % 64U + size / kMostSmallChunks;
  for (base::Bytes rest = bytes; !rest.empty();) {
    const base::Bytes chunk = rest.first(std::min(chunk_bytes, rest.size()));
    const pg::Lsn position = in_chunks.position();
    const pg::Lsn complete_end = in_chunks.complete_end();
    in_chunks.feed(chunk);
    if (is_segment) moves_in_chunks.feed(chunk);
    CHECK(in_chunks.complete_end() <= in_chunks.position());
    CHECK(in_chunks.position() >= position && in_chunks.complete_end() >= complete_end);
    rest = rest.subspan(chunk.size());
  }
  check_same(whole, in_chunks);
  CHECK(moves.first() == moves_in_chunks.first());

  if (whole.is_in_first_continuation()) return 0;
  RecordScanner again = whole.at_complete_end();
  CHECK(again.position() == whole.complete_end() && !again.damage());
  again.feed(bytes.subspan(static_cast<std::size_t>(again.position().bytes_since(options.start))));
  check_same(whole, again);
  return 0;
}
