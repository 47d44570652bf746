#include "clone/old_wal.h"

#include <algorithm>
#include <functional>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "store/segment_chain.h"
#include "store/wal_folder.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 20U;

using OnRecord = std::function<void(pg::Lsn start, const pg::WalRecordHeader& header)>;

struct Walk {
  env::FileSystem& files;
  const OldWalQuestion& question;
  pg::TimelineId timeline;
  const env::StopEvent& stop;
};

void feed(wal::RecordScanner& scanner, base::Bytes bytes, const OnRecord& on_record) {
  while (!bytes.empty() && !scanner.damage()) {
    const auto before = scanner.last_record();
    bytes = bytes.subspan(scanner.feed_to_next_end(bytes));
    if (scanner.last_record() != before) on_record(*scanner.last_record(), scanner.last_header());
  }
}

/// From the segment that `from` is in; gives the end of the last record. No value: none ends there.
Result<std::optional<pg::Lsn>> walk_records(const Walk& walk, pg::Lsn from, const OnRecord& on_record) {
  const std::uint64_t segment_bytes = walk.question.control.wal_segment_bytes;
  auto chain = TRY(store::SegmentChain::open(walk.files, {.folder = walk.question.folder,
                                                          .timeline = walk.timeline,
                                                          .segment_bytes = segment_bytes,
                                                          .system_id = walk.question.control.system_id}));
  pg::Lsn at = from.segment_start(segment_bytes);
  wal::RecordScanner scanner = chain.scanner_at(at);
  std::vector<std::byte> buffer(kReadBytes);
  bool is_there = true;
  while (is_there && !scanner.damage() && scanner.position() == at) {
    const auto segment = TRY(chain.open_at(at));
    is_there = segment.has_value();
    while (is_there && !scanner.damage()) {
      if (walk.stop.is_set()) return env::cancelled_error();
      const std::size_t count = TRY(segment->source->read(buffer));
      if (count == 0) break;
      feed(scanner, base::Bytes(buffer).first(count), on_record);
    }
    at = at + segment_bytes;
  }
  if (!scanner.last_record()) return std::optional<pg::Lsn>();
  return std::optional(scanner.complete_end());
}

/// What the source's history says of an older timeline is that one's own.
std::optional<pg::TimelineHistory> history_up_to(const pg::TimelineHistory& source, pg::TimelineId timeline) {
  if (!source.contains(timeline)) return std::nullopt;
  std::string text;
  for (const pg::TimelineSwitch& each : source.switches()) {
    if (each.parent < timeline) text += fmt::format("{}\t{}\n", each.parent.value(), each.at.to_string());
  }
  return pg::TimelineHistory::parse(timeline, text);
}

Result<pg::TimelineHistory> history_of(env::FileSystem& files, const OldWalQuestion& question,
                                       pg::TimelineId timeline) {
  auto own = TRY(store::read_history(files, question.folder, timeline));
  if (!own) own = history_up_to(question.source, timeline);
  if (own) return *std::move(own);
  return Error(ErrorCode::kPrecondition,
               fmt::format("the history of timeline {} is not in \"{}\"", timeline.value(), question.folder),
               "Without it nobody can tell what the directory has. Put the file there, or copy the source "
               "anew: standfast standby clone.");
}

/// What the control file itself says that the data has.
WalLine vouched_for(const pg::ControlFile& control, pg::TimelineHistory history) {
  pg::Lsn end = control.checkpoint;
  if (control.min_recovery_timeline == history.timeline()) end = std::max(end, control.min_recovery_point);
  return {std::move(history), end};
}

/// Newer ones than the control file's, the newest first.
Result<std::vector<pg::TimelineId>> newer_timelines(env::FileSystem& files, const OldWalQuestion& question,
                                                    pg::TimelineId timeline) {
  const auto folder = TRY(store::list_wal_folder(files, question.folder, question.control.wal_segment_bytes));
  std::set<pg::TimelineId> newer;
  for (const store::SegmentEntry& entry : folder.segments) {
    if (entry.timeline > timeline) newer.insert(entry.timeline);
  }
  return std::vector<pg::TimelineId>(newer.rbegin(), newer.rend());
}

void ignore(pg::Lsn /*start*/, const pg::WalRecordHeader& /*header*/) {}

}  // namespace

Result<WalLine> find_end_of_wal(env::FileSystem& files, const OldWalQuestion& question,
                                const env::StopEvent& stop) {
  const pg::ControlFile& control = question.control;
  const pg::TimelineId timeline = std::max(control.timeline, control.min_recovery_timeline);
  WalLine line = vouched_for(control, TRY(history_of(files, question, timeline)));
  if (!TRY(files.inspect(question.folder))) return line;
  for (const pg::TimelineId newer : TRY(newer_timelines(files, question, timeline))) {
    auto history = TRY(store::read_history(files, question.folder, newer));
    if (!history || history->end_of(timeline).value_or(pg::Lsn()) < line.end) continue;
    const auto end = TRY(walk_records({files, question, newer, stop}, control.checkpoint, ignore));
    if (end && *end > *history->begin_of(newer)) return WalLine{*std::move(history), *end};
  }
  const auto end = TRY(walk_records({files, question, timeline, stop}, control.checkpoint, ignore));
  line.end = std::max(line.end, end.value_or(line.end));
  return line;
}

Result<std::optional<std::uint64_t>> count_commits(env::FileSystem& files, const OldWalQuestion& question,
                                                   const WalLine& line, pg::Lsn from,
                                                   const env::StopEvent& stop) {
  std::uint64_t commits = 0;
  const auto count = [&commits, from](pg::Lsn start, const pg::WalRecordHeader& header) {
    if (start >= from && header.is_commit()) ++commits;
  };
  const auto end = TRY(walk_records({files, question, line.history.timeline(), stop}, from, count));
  // Records that end where the line ends are those that lead up to it.
  if (!end || *end != line.end) return std::optional<std::uint64_t>();
  return std::optional(commits);
}

}  // namespace standfast::clone
