#include "store/segment_chain.h"

#include <array>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "pg/format/wal_file.h"

namespace standfast::store {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using wal::RecordScanner;

constexpr std::size_t kReadBytes = std::size_t{1} << 20U;
constexpr std::uint64_t kMaxHistoryBytes = std::uint64_t{16} << 20U;
constexpr std::array kForms = {SegmentForm::kWhole, SegmentForm::kLz4, SegmentForm::kZstd, SegmentForm::kGzip,
                               SegmentForm::kPartial};
/// A segment changes its form at most twice: .partial, whole, packed.
constexpr int kMaxLooks = 3;

}  // namespace

Result<std::optional<OpenSegment>> open_segment(env::FileSystem& files, const std::string& folder,
                                                pg::TimelineId timeline, pg::Lsn start,
                                                std::uint64_t segment_bytes) {
  for (int look = 0; look < kMaxLooks; ++look) {
    for (const SegmentForm form : kForms) {
      const SegmentEntry entry{timeline, start, form};
      std::string path = folder + "/" + segment_file_name(entry, segment_bytes);
      auto source = open_segment_file(files, path, form, segment_bytes);
      if (source) return std::optional(OpenSegment{entry, std::move(path), std::move(*source)});
      if (source.error().os_errno != ENOENT) return std::move(source).error();
    }
  }
  return std::optional<OpenSegment>();
}

Result<std::optional<std::string>> read_history_text(env::FileSystem& files, const std::string& folder,
                                                     pg::TimelineId timeline, std::uint64_t max_bytes) {
  const std::string path = folder + "/" + pg::timeline_history_name(timeline);
  if (!TRY(files.inspect(path))) return std::optional<std::string>();
  return std::optional(TRY(env::read_whole_file(files, path, max_bytes)));
}

Result<std::optional<pg::TimelineHistory>> read_history(env::FileSystem& files, const std::string& folder,
                                                        pg::TimelineId timeline) {
  if (timeline == pg::TimelineId(1)) return pg::TimelineHistory::parse(timeline, "");
  const auto text = TRY(read_history_text(files, folder, timeline, kMaxHistoryBytes));
  return text ? pg::TimelineHistory::parse(timeline, *text) : std::nullopt;
}

SegmentChain::SegmentChain(env::FileSystem& files, Options options)
    : files_(files), options_(std::move(options)), buffer_(kReadBytes) {}

Result<SegmentChain> SegmentChain::open(env::FileSystem& files, Options options) {
  SegmentChain chain(files, std::move(options));
  chain.history_ = TRY(read_history(files, chain.options_.folder, chain.options_.timeline));
  return chain;
}

Result<std::optional<OpenSegment>> SegmentChain::open_at(pg::Lsn start) const {
  auto found = TRY(open_segment(files_, options_.folder, options_.timeline, start, options_.segment_bytes));
  if (found || !history_) return found;
  const auto& switches = history_->switches();
  for (auto each = switches.rbegin(); each != switches.rend() && start < each->at; ++each) {
    found = TRY(open_segment(files_, options_.folder, each->parent, start, options_.segment_bytes));
    if (found) return found;
  }
  return found;
}

RecordScanner SegmentChain::new_scanner(pg::Lsn start) const {
  return RecordScanner({.start = start,
                        .timeline = options_.timeline,
                        .segment_bytes = options_.segment_bytes,
                        .system_id = options_.system_id});
}

/// False where it is there in no form that counts.
Result<bool> SegmentChain::follow(pg::Lsn start, RecordScanner& scanner) {
  const auto segment = TRY(open_at(start));
  if (!segment || segment->entry.form == SegmentForm::kPartial) return false;
  while (!scanner.damage()) {
    const std::size_t count = TRY(segment->source->read(buffer_));
    if (count == 0) break;
    scanner.feed(base::Bytes(buffer_).first(count));
  }
  const auto& damage = scanner.damage();
  if (!damage && scanner.position() == start + options_.segment_bytes) return true;
  return Error(
      ErrorCode::kDamaged,
      damage ? fmt::format("\"{}\" is damaged at {}: {}", segment->path, damage->at.to_string(), damage->what)
             : fmt::format("\"{}\" has {} bytes where a segment has {}", segment->path,
                           scanner.position().bytes_since(start), options_.segment_bytes),
      "Move it away if the server still has it: it is fetched again then.");
}

Result<RecordScanner> SegmentChain::follow_to(pg::Lsn start) {
  // Back to a segment in which a record ends, each looked at by itself, then forward over all of them: no
  // segment is read more than twice. A record has at most a gigabyte.
  pg::Lsn at = start;
  std::optional<RecordScanner> scanner;
  const std::uint64_t most = pg::kMaxWalRecordBytes / options_.segment_bytes + 2;
  for (std::uint64_t back = 0; back < most && at.value() >= options_.segment_bytes; ++back) {
    const pg::Lsn before(at.value() - options_.segment_bytes);
    RecordScanner found = new_scanner(before);
    if (!TRY(follow(before, found))) break;
    at = before;
    scanner = std::move(found);
    if (!scanner->is_in_first_continuation()) break;
  }
  if (!scanner) return new_scanner(start);
  for (at = at + options_.segment_bytes; at < start; at = at + options_.segment_bytes) {
    // It was there a moment ago.
    if (!TRY(follow(at, *scanner))) {
      return Error(ErrorCode::kIo,
                   fmt::format("the segment at {} went away while it was read", at.to_string()));
    }
  }
  return *std::move(scanner);
}

RecordScanner SegmentChain::scanner_at(pg::Lsn start) {
  auto found = follow_to(start);
  return found ? *std::move(found) : new_scanner(start);
}

}  // namespace standfast::store
