#include "store/wal_check.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "pg/format/wal_file.h"
#include "pg/format/wal_record.h"
#include "store/segment_chain.h"
#include "store/wal_listing.h"

namespace standfast::store {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using wal::RecordScanner;

constexpr std::size_t kReadBytes = std::size_t{1} << 20U;
constexpr base::Seconds kOneWrite(2);  ///< more than a write of one buffer takes, but on a disk that hangs

class Check {
 public:
  Check(env::FileSystem& files, const WalCheckOptions& options, base::Reporter& reporter,
        const env::StopEvent& stop)
      : files_(files), options_(options), reporter_(reporter), stop_(stop), buffer_(kReadBytes) {}

  Result<WalCheck> run() {
    const auto origin = TRY(describe_wal_folder(files_, options_.folder));
    if (!origin) return nothing_to_check("holds no WAL segment");
    segment_bytes_ = origin->segment_bytes;
    system_id_ = origin->system_id;
    folder_ = TRY(list_wal_folder(files_, options_.folder, segment_bytes_));
    // Of two forms of one segment the best is read.
    const auto same = [](const SegmentEntry& a, const SegmentEntry& b) {
      return a.timeline == b.timeline && a.start == b.start;
    };
    std::vector<SegmentEntry> entries = folder_.segments;
    entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());
    if (options_.timeline)
      std::erase_if(entries, [&](const SegmentEntry& entry) { return entry.timeline != *options_.timeline; });
    if (entries.empty())
      return nothing_to_check(fmt::format("holds no WAL of timeline {}", options_.timeline->value()));
    total_bytes_ = entries.size() * segment_bytes_;
    gaps_ = find_gaps(folder_, TRY(read_histories(files_, options_.folder, folder_)), segment_bytes_);
    for (auto first = entries.begin(); first != entries.end();) {
      const auto last = std::find_if(
          first, entries.end(), [&](const SegmentEntry& entry) { return entry.timeline != first->timeline; });
      TRY(check_timeline({first, last}));
      first = last;
    }
    return std::move(check_);
  }

 private:
  Error nothing_to_check(const std::string& why) const {
    return Error(ErrorCode::kPrecondition, fmt::format("\"{}\" {}", options_.folder, why),
                 "Name a folder that \"standfast wal receive\" or pg_receivewal writes to.");
  }

  void find(FindingKind kind, pg::Lsn at, const std::string& path, std::string what) {
    if (!first_finding_) first_finding_ = at;
    check_.findings.push_back({kind, timeline_, at, path, std::move(what)});
  }

  Result<void> check_timeline(std::span<const SegmentEntry> entries) {
    timeline_ = entries.front().timeline;
    auto chain = TRY(SegmentChain::open(files_, {.folder = options_.folder,
                                                 .timeline = timeline_,
                                                 .segment_bytes = segment_bytes_,
                                                 .system_id = system_id_}));
    fork_.reset();
    if (chain.history()) fork_ = chain.history()->begin_of(timeline_);
    first_finding_.reset();
    CheckedTimeline& checked =
        check_.timelines.emplace_back(CheckedTimeline{.timeline = timeline_,
                                                      .start = entries.front().start,
                                                      .proven_from = entries.front().start,
                                                      .valid_end = {}});
    RecordScanner scanner = chain.scanner_at(entries.front().start);
    for (const SegmentEntry& entry : entries) {
      const auto gap = std::find_if(gaps_.begin(), gaps_.end(), [&](const WalGap& each) {
        return each.timeline == timeline_ && each.to == entry.start;
      });
      if (gap != gaps_.end()) {
        find(FindingKind::kGap, gap->from, "",
             fmt::format("the WAL between {} and {} is not there", gap->from.to_string(),
                         gap->to.to_string()));
      }
      // What lacks before a timeline's first segment says nothing of the timeline itself.
      if (checked.segments == 0) first_finding_.reset();
      // Behind a gap or damage it begins anew, and knows of nothing before.
      if (scanner.damage() || scanner.position() != entry.start) scanner = chain.new_scanner(entry.start);
      TRY(check_segment(entry, entry.start == entries.back().start, scanner));
      note_progress(checked, entry, scanner);
    }
    return base::ok();
  }

  void note_progress(CheckedTimeline& checked, const SegmentEntry& entry, RecordScanner& scanner) {
    for (const wal::UnprovenRange& range : scanner.take_unproven()) {
      if (range.start == checked.start) checked.proven_from = range.end;
    }
    ++checked.segments;
    checked.bytes += segment_bytes_;
    checked_bytes_ += segment_bytes_;
    const bool has_end = !scanner.is_in_first_continuation() && scanner.complete_end() > checked.start;
    const bool was_valid_before = !first_finding_ || *first_finding_ >= entry.start;
    if (has_end && was_valid_before)
      checked.valid_end = std::min(scanner.complete_end(), first_finding_.value_or(scanner.complete_end()));
    const std::string name = segment_file_name(entry, segment_bytes_);
    reporter_.progress({.done_bytes = checked_bytes_, .total_bytes = total_bytes_, .activity = name});
  }

  /// A receiver's write shows its blocks in any order while it is under way: what looks like damage in the
  /// segment that is being written is looked at again when that write is over. Behind the last page that was
  /// there at first another may be under way by then.
  Result<void> check_segment(const SegmentEntry& entry, bool is_last, RecordScanner& scanner) {
    if (!is_last || entry.form != SegmentForm::kPartial) {
      TRY(look_at_segment(entry, is_last, {}, scanner));
      return base::ok();
    }
    const auto last_page = TRY(last_page_of(entry));
    const RecordScanner before = scanner;
    const std::size_t findings = check_.findings.size();
    const auto first_finding = first_finding_;
    if (TRY(look_at_segment(entry, is_last, last_page, scanner)) == Look::kEnough) return base::ok();
    if (env::wait_for(-1, 0, {base::Deadline::after(kOneWrite), &stop_}) == env::Ready::kStopped)
      return env::cancelled_error();
    scanner = before;
    check_.findings.erase(check_.findings.begin() + static_cast<std::ptrdiff_t>(findings),
                          check_.findings.end());
    first_finding_ = first_finding;
    TRY(look_at_segment(entry, is_last, last_page, scanner));
    return base::ok();
  }

  enum class Look : std::uint8_t { kEnough, kMayBeUnderWay };

  Result<Look> look_at_segment(const SegmentEntry& entry, bool is_last, std::optional<pg::Lsn> last_page,
                               RecordScanner& scanner) {
    auto segment = TRY(open_segment(files_, options_.folder, entry.timeline, entry.start, segment_bytes_));
    if (!segment) return Look::kEnough;  // removed since, as the oldest are
    const bool is_open = is_last && segment->entry.form == SegmentForm::kPartial;
    if (is_open) scanner.stop_at_segment_switch();
    if (!TRY(feed(*segment, scanner))) return Look::kEnough;
    if (!is_open) {
      judge_whole(*segment, scanner);
      return Look::kEnough;
    }
    // Where the records of the last segment end there is nothing more: the last one may not be all there, but
    // a page behind it tells of damage.
    const bool goes_on = scanner.damage() && last_page && *last_page >= scanner.position();
    if (!goes_on || is_stopped_by_switch(scanner)) return Look::kEnough;
    find(FindingKind::kDamage, scanner.damage()->at, segment->path,
         fmt::format("{}, yet WAL goes on at {}", scanner.damage()->what, last_page->to_string()));
    return Look::kMayBeUnderWay;
  }

  static bool is_stopped_by_switch(const RecordScanner& scanner) {
    return !scanner.is_in_first_continuation() && scanner.at_complete_end().is_in_unused_rest();
  }

  /// False: it cannot be unpacked, and that has been found.
  Result<bool> feed(OpenSegment& segment, RecordScanner& scanner) {
    while (!scanner.damage()) {
      if (stop_.is_set()) return env::cancelled_error();
      const auto count = segment.source->read(buffer_);
      if (!count && count.error().code == ErrorCode::kDamaged) {
        find(FindingKind::kDamage, scanner.position(), segment.path, "it cannot be unpacked");
        reporter_.detail(count.error().message);
        return false;
      }
      if (!count) return count.error();
      if (*count == 0) break;
      feed_over_fork(base::Bytes(buffer_).first(*count), segment.path, scanner);
    }
    return true;
  }

  /// A timeline begins where a record of the old one ends.
  void feed_over_fork(base::Bytes bytes, const std::string& path, RecordScanner& scanner) {
    const pg::Lsn end = scanner.position() + bytes.size();
    const bool has_fork = fork_ && *fork_ > scanner.position() && *fork_ <= end;
    if (!has_fork) return scanner.feed(bytes);
    const auto before = static_cast<std::size_t>(fork_->bytes_since(scanner.position()));
    scanner.feed(bytes.first(before));
    if (!scanner.damage() && !scanner.is_in_first_continuation() && scanner.complete_end() != *fork_) {
      find(FindingKind::kBadJoint, *fork_, path,
           fmt::format("timeline {} begins at {}, where no record ends", timeline_.value(),
                       fork_->to_string()));
    }
    scanner.feed(bytes.subspan(before));
  }

  void judge_whole(const OpenSegment& segment, const RecordScanner& scanner) {
    const pg::Lsn end = segment.entry.start + segment_bytes_;
    if (!scanner.damage() && scanner.position() == end) return;
    if (segment.entry.form == SegmentForm::kPartial) {
      find(FindingKind::kNotWhole, scanner.complete_end(), segment.path,
           "it is not whole, and others follow it");
    } else if (scanner.damage()) {
      find(FindingKind::kDamage, scanner.damage()->at, segment.path, scanner.damage()->what);
    } else {
      find(FindingKind::kNotWhole, scanner.position(), segment.path,
           fmt::format("it has {} bytes where a segment has {}",
                       scanner.position().bytes_since(segment.entry.start), segment_bytes_));
    }
  }

  /// The last page that is one of this segment; what a receiver writes meanwhile comes behind it.
  Result<std::optional<pg::Lsn>> last_page_of(const SegmentEntry& entry) {
    const std::string path = options_.folder + "/" + segment_file_name(entry, segment_bytes_);
    const auto file = files_.open_for_reading(path);
    if (!file && file.error().os_errno == ENOENT) return std::optional<pg::Lsn>();  // it has got its name
    if (!file) return file.error();
    std::array<std::byte, pg::kWalLongHeaderBytes> bytes{};
    for (std::uint64_t offset = segment_bytes_; offset > 0;) {
      offset -= pg::kWalPageBytes;
      const std::size_t count = TRY((*file)->read_at(offset, bytes));
      const auto header = pg::parse_wal_page_header(base::Bytes(bytes).first(count));
      if (header && header->page_at == entry.start + offset && header->timeline == timeline_)
        return std::optional(header->page_at);
    }
    return std::optional<pg::Lsn>();
  }

  env::FileSystem& files_;
  const WalCheckOptions& options_;
  base::Reporter& reporter_;
  const env::StopEvent& stop_;
  std::vector<std::byte> buffer_;
  std::uint64_t segment_bytes_ = 0;
  std::optional<pg::SystemId> system_id_;
  WalFolder folder_;
  std::vector<WalGap> gaps_;
  std::uint64_t total_bytes_ = 0;
  std::uint64_t checked_bytes_ = 0;
  WalCheck check_;

  // Of the timeline.
  pg::TimelineId timeline_;
  std::optional<pg::Lsn> fork_;
  std::optional<pg::Lsn> first_finding_;
};

}  // namespace

Result<WalCheck> check_wal(env::FileSystem& files, const WalCheckOptions& options, base::Reporter& reporter,
                           const env::StopEvent& stop) {
  return Check(files, options, reporter, stop).run();
}

}  // namespace standfast::store
