#include "store/tail_proof.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "store/anchor.h"
#include "store/segment_chain.h"
#include "store/wal_folder.h"

namespace standfast::store {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using wal::RecordScanner;

constexpr std::string_view kBeingWrittenAnew = "standfast.anew";
constexpr std::size_t kReadBytes = std::size_t{1} << 20U;

class Proof {
 public:
  Proof(env::FileSystem& files, const TailProofOptions& options) : files_(files), options_(options) {}

  Result<std::optional<ProvenTail>> run(const std::optional<pg::TimelineId>& wanted) {
    folder_ = TRY(list_wal_folder(files_, options_.folder, options_.segment_bytes));
    // What came later is none of an older timeline's.
    if (wanted)
      std::erase_if(folder_.segments, [&](const SegmentEntry& each) { return each.timeline > *wanted; });
    if (folder_.segments.empty()) return std::optional<ProvenTail>();
    timeline_ = folder_.segments.back().timeline;
    if (wanted && timeline_ != *wanted) return std::optional<ProvenTail>();
    was_left_ = wanted.has_value();
    TRY(find_chain());
    auto chain = TRY(SegmentChain::open(files_, {.folder = options_.folder,
                                                 .timeline = timeline_,
                                                 .segment_bytes = options_.segment_bytes,
                                                 .system_id = options_.system_id}));
    const RecordScanner at_start = TRY(chain.follow_to(tail_start_));
    RecordScanner scanner = at_start;
    TRY(follow_partial_segments(scanner));
    ProvenTail tail = decide(at_start, scanner);
    TRY(settle(tail.tail.resume_at));
    return std::optional(std::move(tail));
  }

 private:
  struct Partial {
    pg::Lsn start;
    bool was_read_from_device = false;
  };

  std::string path_of(pg::Lsn start, SegmentForm form) const {
    return options_.folder + "/" + segment_file_name({timeline_, start, form}, options_.segment_bytes);
  }

  /// The whole segments without a gap, and the partial ones that follow them.
  Result<void> find_chain() {
    std::optional<SegmentEntry> last;
    for (const SegmentEntry& entry : folder_.segments) {
      if (entry.timeline != timeline_ || (last && last->start == entry.start)) continue;
      if (last && (entry.start != last->start + options_.segment_bytes ||
                   (last->form == SegmentForm::kPartial && entry.form != SegmentForm::kPartial))) {
        return Error(ErrorCode::kPrecondition,
                     fmt::format("\"{}\" lacks WAL between {} and {} of timeline {}", options_.folder,
                                 (last->start + options_.segment_bytes).to_string(), entry.start.to_string(),
                                 timeline_.value()),
                     "Put the missing segments there, or move what lies behind the gap to another folder.");
      }
      if (entry.form == SegmentForm::kPartial) {
        partials_.push_back({entry.start});
      } else {
        whole_end_ = entry.start + options_.segment_bytes;
      }
      last = entry;
    }
    tail_start_ = whole_end_.value_or(last->start);
    if (!whole_end_) tail_start_ = partials_.front().start;
    return base::ok();
  }

  Result<void> follow_partial_segments(RecordScanner& scanner) {
    scanner.stop_at_segment_switch();
    scanner.trust_only(TRY(read_anchors(files_, options_.folder)));
    for (Partial& partial : partials_) {
      if (scanner.damage() || scanner.position() != partial.start) break;
      TRY(follow_partial(partial, scanner));
    }
    return base::ok();
  }

  Result<void> follow_partial(Partial& partial, RecordScanner& scanner) {
    const std::string path = path_of(partial.start, SegmentForm::kPartial);
    {
      const auto info = TRY(files_.inspect(path));
      const auto file = TRY(files_.open_existing(path));
      // Other programs take only a file of full size for a segment.
      if (info && info->size_bytes < options_.segment_bytes) TRY(file->truncate(options_.segment_bytes));
      TRY(file->sync());
    }
    auto file = TRY(files_.open_for_direct_reading(path));
    partial.was_read_from_device = file != nullptr;
    if (!file) file = TRY(files_.open_for_reading(path));
    std::uint64_t offset = 0;
    while (offset < options_.segment_bytes && !scanner.damage()) {
      const auto wanted =
          static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), options_.segment_bytes - offset));
      const std::size_t count = TRY(file->read_at(offset, std::span(buffer_).first(wanted)));
      if (count == 0) break;
      scanner.feed(base::Bytes(buffer_).first(count));
      offset += count;
    }
    return base::ok();
  }

  ProvenTail decide(const RecordScanner& at_start, const RecordScanner& scanner) const {
    ProvenTail tail{.tail = {.timeline = timeline_, .resume_at = tail_start_, .proven_end = {}},
                    .scanner = at_start,
                    .proof_from = last_proof(at_start)};
    if (!at_start.is_in_first_continuation()) tail.tail.proven_end = at_start.complete_end();
    if (scanner.complete_end() <= tail_start_) return tail;
    tail.tail.resume_at = tail.tail.proven_end = scanner.complete_end();
    tail.scanner = scanner.at_complete_end();
    return tail;
  }

  Result<void> settle(pg::Lsn resume_at) {
    for (const Partial& partial : partials_) {
      const std::string path = path_of(partial.start, SegmentForm::kPartial);
      if (partial.start > resume_at) {
        // Not a spare: under another timeline's name its old records could pass for that one's.
        if (!was_left_) TRY(files_.remove_file(path));
        continue;
      }
      if (!partial.was_read_from_device && resume_at > partial.start)
        TRY(write_anew(partial.start, resume_at));
      if (resume_at >= partial.start + options_.segment_bytes) {
        TRY(files_.rename_no_replace(path, path_of(partial.start, SegmentForm::kWhole)));
      }
    }
    return files_.sync_directory(options_.folder);
  }

  /// The bytes up to the end go to another file, whose fsync tells of them and of nothing else.
  Result<void> write_anew(pg::Lsn start, pg::Lsn end) {
    const std::string path = path_of(start, SegmentForm::kPartial);
    const std::string new_path = options_.folder + "/" + std::string(kBeingWrittenAnew);
    auto from = TRY(files_.open_for_reading(path));
    auto to = TRY(files_.create(new_path, options_.file_mode, env::OnExisting::kReplace));
    const std::uint64_t total = std::min(end.bytes_since(start), options_.segment_bytes);
    for (std::uint64_t at = 0; at < total;) {
      const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), total - at));
      const std::size_t count = TRY(from->read_at(at, std::span(buffer_).first(wanted)));
      if (count == 0) return Error(ErrorCode::kIo, "\"" + path + "\" became shorter while it was read");
      TRY(to->write_at(at, base::Bytes(buffer_).first(count)));
      at += count;
    }
    TRY(to->truncate(options_.segment_bytes));
    TRY(to->sync());
    TRY(to->close());
    return files_.rename_over(new_path, path);
  }

  env::FileSystem& files_;
  const TailProofOptions& options_;
  bool was_left_ = false;
  WalFolder folder_;
  pg::TimelineId timeline_;
  std::vector<Partial> partials_;
  std::optional<pg::Lsn> whole_end_;
  pg::Lsn tail_start_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(kReadBytes);
};

}  // namespace

Result<std::optional<ProvenTail>> prove_tail(env::FileSystem& files, const TailProofOptions& options) {
  return Proof(files, options).run(std::nullopt);
}

Result<std::optional<ProvenTail>> prove_tail_of(env::FileSystem& files, const TailProofOptions& options,
                                                pg::TimelineId timeline) {
  return Proof(files, options).run(timeline);
}

}  // namespace standfast::store
