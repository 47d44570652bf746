#include "store/wal_store.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "pg/format/wal_file.h"

namespace standfast::store {

using base::Error;
using base::ErrorCode;
using base::Result;

WalStore::WalStore(env::FileSystem& files, Options options)
    : files_(files),
      options_(std::move(options)),
      spares_(files, options_.folder, options_.segment_bytes, options_.file_mode) {
  CHECK(pg::is_valid_wal_segment_size(options_.segment_bytes));
}

Result<std::unique_ptr<WalStore>> WalStore::open(env::FileSystem& files, Options options) {
  std::unique_ptr<WalStore> store(new WalStore(files, std::move(options)));
  TRY(store->spares_.find());
  const auto proven = TRY(prove_tail(files, store->options_));
  if (!proven) return store;
  store->anchors_ = TRY(read_anchors(files, store->options_.folder));
  const Tail& tail = proven->tail;
  store->scanner_ = store->at_segment_start_ = proven->scanner;
  store->proof_from_ = proven->proof_from;
  store->positions_ = {.timeline = tail.timeline,
                       .written = tail.resume_at,
                       .complete = std::min(tail.proven_end, tail.resume_at),
                       .durable = tail.resume_at,
                       .acknowledged = tail.proven_end};
  store->check_order();
  return store;
}

std::optional<Tail> WalStore::tail() const {
  const std::lock_guard lock(mutex_);
  if (!scanner_) return std::nullopt;
  Tail tail{.timeline = positions_.timeline,
            .resume_at = at_segment_start_->position(),
            .proven_end = positions_.acknowledged};
  if (!scanner_->is_in_first_continuation()) {
    tail.resume_at = std::max(tail.resume_at, scanner_->complete_end());
  }
  return tail;
}

Positions WalStore::positions() const {
  const std::lock_guard lock(mutex_);
  return positions_;
}

pg::Lsn WalStore::proof_from() const {
  const std::lock_guard lock(mutex_);
  return proof_from_;
}

void WalStore::check_order() const {
  CHECK(positions_.acknowledged <= positions_.durable && positions_.durable <= positions_.written);
  CHECK(positions_.acknowledged <= positions_.complete && positions_.complete <= positions_.written);
}

std::string WalStore::path_of(const Segment& segment, SegmentForm form) const {
  return options_.folder + "/" +
         segment_file_name({segment.timeline, segment.start, form}, options_.segment_bytes);
}

Result<void> WalStore::remember_failure(Result<void> result) {
  if (result) return result;
  const std::lock_guard lock(mutex_);
  if (!failure_) failure_ = result.error();
  return result;
}

Result<void> WalStore::begin(const Begin& begin) {
  const auto end = tail();
  const bool goes_on = end && begin.timeline == end->timeline && begin.start == end->resume_at;
  CHECK(goes_on || begin.start.value() % options_.segment_bytes == 0);
  if (goes_on) {
    const bool at_start = begin.start == at_segment_start_->position();
    scanner_ = at_start ? *at_segment_start_ : scanner_->at_complete_end();
  } else {
    scanner_.emplace(wal::RecordScanner::Options{.start = begin.start,
                                                 .timeline = begin.timeline,
                                                 .segment_bytes = options_.segment_bytes,
                                                 .system_id = options_.system_id});
    at_segment_start_ = scanner_;
  }
  const std::lock_guard lock(mutex_);
  if (failure_) return *failure_;
  CHECK(finished_.empty() && positions_.durable == positions_.written);
  current_.reset();
  fork_ = begin.fork;
  began_at_ = begin.start;
  const bool is_acknowledged = goes_on && positions_.acknowledged >= fork_;
  positions_ = {.timeline = begin.timeline,
                .written = begin.start,
                .complete = goes_on ? std::min(positions_.complete, begin.start) : begin.start,
                .durable = begin.start,
                .acknowledged = is_acknowledged ? positions_.acknowledged : pg::Lsn()};
  check_order();
  return base::ok();
}

Result<void> WalStore::append(pg::Lsn at, base::Bytes bytes) {
  CHECK(scanner_ && at == scanner_->position());
  CHECK(at.value() % options_.segment_bytes + bytes.size() <= options_.segment_bytes);
  if (at.value() % options_.segment_bytes == 0) at_segment_start_ = scanner_;
  {
    const std::lock_guard lock(mutex_);
    if (failure_) return *failure_;
    stage(at, bytes);
  }
  return scan(bytes);
}

/// With the mutex held.
void WalStore::stage(pg::Lsn at, base::Bytes bytes) {
  const pg::Lsn start = at.segment_start(options_.segment_bytes);
  if (!current_) {
    current_ = std::make_shared<Segment>();
    current_->timeline = positions_.timeline;
    current_->start = start;
    current_->proof_from = at == start ? last_proof(*scanner_) : proof_from_;
  }
  std::uint64_t offset = at.bytes_since(start);
  std::size_t taken = current_->staged.empty() ? 0 : current_->staged.back()->take(bytes);
  while (taken < bytes.size()) {
    current_->staged.push_back(idle_stage());
    current_->staged.back()->begin(offset + taken);
    taken += current_->staged.back()->take(bytes.subspan(taken));
  }
}

std::unique_ptr<StagedBytes> WalStore::idle_stage() {
  if (idle_.empty()) return std::make_unique<StagedBytes>();
  auto stage = std::move(idle_.back());
  idle_.pop_back();
  return stage;
}

Result<void> WalStore::scan(base::Bytes bytes) {
  scanner_->feed(bytes);
  const Anchors passed = scanner_->take_unproven();
  const std::lock_guard lock(mutex_);
  if (!passed.empty()) take_anchors(passed);
  const auto& damage = scanner_->damage();
  // Of damaged WAL, what is whole before the damage counts.
  positions_.complete = std::max(positions_.complete, scanner_->complete_end());
  positions_.written = damage ? std::max(positions_.written, positions_.complete) : scanner_->position();
  check_order();
  // In one step with the positions: what a switch completes counts only once the segment has its name.
  if (!damage && positions_.written.value() % options_.segment_bytes == 0)
    finished_.push_back(std::exchange(current_, nullptr));
  if (!damage) return base::ok();
  return Error(
      ErrorCode::kDamaged,
      fmt::format("the WAL that came in is damaged at {}: {}", damage->at.to_string(), damage->what),
      "Nothing from there on was acknowledged. If it comes again, look at the server's own pg_wal with "
      "pg_waldump.");
}

void WalStore::take_anchors(const Anchors& passed) {
  // What lies in segments that are whole by now needs none. One that ends where a segment begins is judged
  // with that segment's first page.
  const pg::Lsn oldest =
      finished_.empty() ? positions_.written.segment_start(options_.segment_bytes) : finished_.front()->start;
  std::erase_if(anchors_, [&](const wal::UnprovenRange& each) {
    return each.timeline != positions_.timeline || (finished_.empty() && each.end < oldest);
  });
  anchors_.insert(anchors_.end(), passed.begin(), passed.end());
  if (anchors_.size() > kMaxAnchors) anchors_.erase(anchors_.begin());
  anchors_have_changed_ = true;
}

Result<Positions> WalStore::flush() {
  Round round;
  {
    const std::lock_guard lock(mutex_);
    if (failure_) return *failure_;
    round = {.finished = std::exchange(finished_, {}),
             .current = current_,
             .staged = current_ ? std::exchange(current_->staged, {}) : Stages(),
             .anchors = anchors_have_changed_ ? std::optional(anchors_) : std::nullopt,
             .reached = positions_};
    anchors_have_changed_ = false;
  }
  TRY(remember_failure(make_durable(round)));
  const std::lock_guard lock(mutex_);
  const Positions& reached = round.reached;
  positions_.durable = reached.written;
  // A start that nothing proves is not acknowledged before something behind it is.
  const bool is_news = reached.complete > began_at_ && reached.complete >= fork_;
  if (is_news) positions_.acknowledged = std::max(positions_.acknowledged, reached.complete);
  // The tail begins with the first segment that has no final name.
  if (const auto& first = finished_.empty() ? current_ : finished_.front()) proof_from_ = first->proof_from;
  check_order();
  return positions_;
}

Result<void> WalStore::make_durable(Round& round) {
  bool folder_has_changed = !round.finished.empty();
  for (const auto& segment : round.finished) {
    TRY(fill(*segment, std::move(segment->staged)));
    TRY(files_.rename_no_replace(path_of(*segment, SegmentForm::kPartial),
                                 path_of(*segment, SegmentForm::kWhole)));
  }
  if (!round.staged.empty()) {
    folder_has_changed |= TRY(fill(*round.current, std::move(round.staged))) == Name::kNew;
  }
  if (folder_has_changed) TRY(files_.sync_directory(options_.folder));
  if (round.anchors) TRY(write_anchors(files_, options_.folder, *round.anchors, options_.file_mode));
  return base::ok();
}

/// What was staged is in the file, and durable.
Result<WalStore::Name> WalStore::fill(Segment& segment, Stages staged) {
  const Name name = TRY(open_file(segment));
  for (const auto& stage : staged) TRY(stage->write_to(segment.file));
  TRY(segment.file.cached->sync_data());
  const std::lock_guard lock(mutex_);
  for (auto& stage : staged) idle_.push_back(std::move(stage));
  return name;
}

Result<WalStore::Name> WalStore::open_file(Segment& segment) {
  if (segment.file.cached) return Name::kAsBefore;
  const std::string path = path_of(segment, SegmentForm::kPartial);
  const auto info = TRY(files_.inspect(path));
  if (info || TRY(spares_.take(path))) {
    segment.file.cached = TRY(files_.open_existing(path));
  } else {
    segment.file.cached = TRY(files_.create(path, options_.file_mode, env::OnExisting::kFail));
  }
  segment.file.direct = TRY(files_.open_for_direct_writing(path));
  // Other programs take only a file of full size for a segment.
  if (!info || info->size_bytes != options_.segment_bytes)
    TRY(segment.file.cached->truncate(options_.segment_bytes));
  return Name::kNew;
}

Result<void> WalStore::write_history(pg::TimelineId timeline, std::string_view content) {
  return env::write_file_durably(files_, options_.folder + "/" + pg::timeline_history_name(timeline), content,
                                 {.mode = options_.file_mode});
}

}  // namespace standfast::store
