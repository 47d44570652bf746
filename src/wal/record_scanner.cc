#include "wal/record_scanner.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"

namespace standfast::wal {
namespace {

constexpr std::uint16_t kMagicOfPostgres = 0xD100;  // of all majors; the low byte counts the formats
constexpr std::uint16_t kMagicMask = 0xFF00;
constexpr std::size_t kLengthFieldBytes = 4;

std::uint64_t offset_in_page(pg::Lsn position) {
  return position.value() % pg::kWalPageBytes;
}

std::size_t at_most(std::uint64_t count, base::Bytes bytes) {
  return static_cast<std::size_t>(std::min<std::uint64_t>(count, bytes.size()));
}

}  // namespace

RecordScanner::RecordScanner(const Options& options)
    : newest_timeline_(options.timeline),
      segment_bytes_(options.segment_bytes),
      system_id_(options.system_id),
      position_(options.start),
      complete_end_(options.start),
      previous_record_(options.previous_record),
      is_before_first_page_(offset_in_page(options.start) == 0 && !options.previous_record),
      record_start_(options.start) {
  CHECK(segment_bytes_ > 0 && segment_bytes_ % pg::kWalPageBytes == 0);
  CHECK(options.start == pg::align_wal(options.start));
}

void RecordScanner::feed(base::Bytes bytes) {
  while (!bytes.empty() && !damage_) bytes = bytes.subspan(take(bytes));
}

std::size_t RecordScanner::feed_to_next_end(base::Bytes bytes) {
  const pg::Lsn before = complete_end_;
  std::size_t taken = 0;
  while (taken < bytes.size() && !damage_ && complete_end_ == before) taken += take(bytes.subspan(taken));
  return taken;
}

std::size_t RecordScanner::take(base::Bytes bytes) {
  if (state_ == State::kUnusedRest) {
    const std::size_t taken = at_most(segment_bytes_ - position_.value() % segment_bytes_, bytes);
    position_ = position_ + taken;
    if (position_.value() % segment_bytes_ == 0) {
      state_ = State::kBetweenRecords;
      complete_end_ = position_;
    }
    return taken;
  }
  if (page_header_filled_ > 0 || offset_in_page(position_) == 0) return take_page_header(bytes);
  return take_content(bytes.first(at_most(pg::kWalPageBytes - offset_in_page(position_), bytes)));
}

std::size_t RecordScanner::take_page_header(base::Bytes bytes) {
  std::size_t wanted = pg::kWalShortHeaderBytes;
  if (page_header_filled_ >= pg::kWalShortHeaderBytes) wanted = pg::kWalLongHeaderBytes;
  const std::size_t count = at_most(wanted - page_header_filled_, bytes);
  if (page_header_filled_ == 0) raw_checksum_before_page_ = raw_checksum_;
  std::copy_n(bytes.begin(), count, page_header_.begin() + static_cast<std::ptrdiff_t>(page_header_filled_));
  page_header_filled_ += count;
  advance(bytes.first(count));
  if (page_header_filled_ < wanted) return count;
  // No value: it says that it is a long one, and the rest of that is to come.
  const auto header = pg::parse_wal_page_header(base::Bytes(page_header_).first(page_header_filled_));
  if (!header) return count;
  page_header_filled_ = 0;
  if (judge_page(*header) && judge_continuation(*header)) {
    page_ = {header->magic, header->timeline};
    is_before_first_page_ = false;
  }
  return count;
}

bool RecordScanner::judge_page(const pg::WalPageHeader& header) {
  const pg::Lsn page(position_.value() - header.size_bytes());
  const bool begins_segment = page.value() % segment_bytes_ == 0;
  if (header.page_at != page) {
    fail(page, fmt::format("the page says that it is the one at {}", header.page_at.to_string()));
  } else if ((header.magic & kMagicMask) != kMagicOfPostgres ||
             page_.magic.value_or(header.magic) != header.magic) {
    fail(page, fmt::format("the page's magic number is {:04X}", header.magic));
  } else if ((header.flags & ~pg::kWalPageKnownFlags) != 0 || header.is_long() != begins_segment) {
    fail(page, fmt::format("the page's flags are {:04X}", header.flags));
  } else if (header.timeline > newest_timeline_ || header.timeline < page_.timeline ||
             header.timeline < pg::TimelineId(1)) {
    fail(page, fmt::format("the page is of timeline {}", header.timeline.value()));
  } else if (header.is_long() && system_id_.value_or(header.system_id) != header.system_id) {
    fail(page, fmt::format("the page is of the system {}", header.system_id.to_string()));
  } else if (header.is_long() &&
             (header.segment_bytes != segment_bytes_ || header.page_bytes != pg::kWalPageBytes)) {
    fail(page, fmt::format("the page is of segments of {} bytes and pages of {}", header.segment_bytes,
                           header.page_bytes));
  }
  return !damage_;
}

bool RecordScanner::judge_continuation(const pg::WalPageHeader& header) {
  const pg::Lsn page = header.page_at;
  const bool continues = (header.flags & pg::kWalPageContinuesRecord) != 0;
  const bool abandons = (header.flags & pg::kWalPageAbandonsRecord) != 0;
  if (state_ == State::kBetweenRecords) {
    if (continues && is_before_first_page_) {
      state_ = State::kFirstContinuation;
      remaining_bytes_ = header.remaining_bytes;
      starts_in_header_ = remaining_bytes_ < pg::kWalRecordHeaderBytes;
      return true;
    }
    if (continues) fail(page, "the page continues a record that has ended");
    return !damage_;
  }
  if (abandons) {
    const bool is_passed = pass_unproven(page, raw_checksum_before_page_);
    state_ = State::kBetweenRecords;
    return is_passed;
  }
  if (!continues || header.remaining_bytes != remaining_bytes_) {
    fail(page, state_ == State::kInRecord
                   ? fmt::format("the record at {} does not go on in the page", record_start_.to_string())
                   : "the record from before does not go on in the page");
  }
  return !damage_;
}

std::size_t RecordScanner::take_content(base::Bytes bytes) {
  if (state_ == State::kBetweenRecords) begin_record();
  std::size_t count = 0;
  if (state_ == State::kInRecord && record_header_filled_ < pg::kWalRecordHeaderBytes) {
    count = take_record_header(bytes);
  } else if (remaining_bytes_ > 0) {
    count = at_most(remaining_bytes_, bytes);
    if (state_ == State::kInRecord) {
      checksum_.update(bytes.first(count));
    } else {
      keep_as_header_end(bytes.first(count));
    }
    remaining_bytes_ -= count;
    advance(bytes.first(count));
  } else {
    // What fills the last eight bytes up.
    count = at_most(pg::align_wal(position_).bytes_since(position_), bytes);
    advance(bytes.first(count));
  }
  const bool has_header = state_ != State::kInRecord || record_header_filled_ == pg::kWalRecordHeaderBytes;
  const bool is_whole = has_header && remaining_bytes_ == 0 && position_ == pg::align_wal(position_);
  if (is_whole && !damage_ && state_ != State::kUnusedRest) end_record();
  return count;
}

/// A switch is nothing but a header, which the start may split.
void RecordScanner::keep_as_header_end(base::Bytes bytes) {
  if (!starts_in_header_) return;
  const auto at = static_cast<std::ptrdiff_t>(pg::kWalRecordHeaderBytes - remaining_bytes_);
  std::copy(bytes.begin(), bytes.end(), record_header_.begin() + at);
}

void RecordScanner::begin_record() {
  state_ = State::kInRecord;
  record_start_ = position_;
  record_header_filled_ = 0;
  remaining_bytes_ = 0;
  checksum_ = base::Crc32c();
  raw_checksum_ = base::Crc32c();
}

std::size_t RecordScanner::take_record_header(base::Bytes bytes) {
  const std::size_t count = at_most(pg::kWalRecordHeaderBytes - record_header_filled_, bytes);
  std::copy_n(bytes.begin(), count,
              record_header_.begin() + static_cast<std::ptrdiff_t>(record_header_filled_));
  record_header_filled_ += count;
  advance(bytes.first(count));
  if (record_header_filled_ < kLengthFieldBytes) return count;
  // The length is there before the page can end: a record begins at a multiple of eight.
  const std::uint32_t total = *base::ByteReader(record_header_).u32_le();
  if (total == 0 && record_start_ == possible_switch_end_) {
    begin_unused_rest();
    return count;
  }
  if (total < pg::kWalRecordHeaderBytes || total > pg::kMaxWalRecordBytes) {
    fail(record_start_,
         total == 0 ? "no record begins here" : fmt::format("the record's length is {}", total));
    return count;
  }
  remaining_bytes_ = total - record_header_filled_;
  if (record_header_filled_ == pg::kWalRecordHeaderBytes) judge_record_header();
  return count;
}

void RecordScanner::judge_record_header() {
  record_ = *pg::parse_wal_record_header(record_header_);
  const bool follows =
      previous_record_ ? record_.previous == *previous_record_ : record_.previous < record_start_;
  if (!follows) {
    fail(record_start_,
         fmt::format("the record says that it follows the one at {}", record_.previous.to_string()));
  }
}

void RecordScanner::end_record() {
  if (state_ == State::kFirstContinuation) {
    if (!pass_unproven(position_, raw_checksum_)) return;
    const bool is_switch = pg::parse_wal_record_header(record_header_)->is_segment_switch();
    if (starts_in_header_ && is_switch) possible_switch_end_ = position_;
  } else {
    checksum_.update(base::Bytes(record_header_).first(pg::kWalRecordChecksumOffset));
    if (checksum_.value() != record_.checksum) {
      fail(record_start_, "the checksum of the record does not match");
      return;
    }
    previous_record_ = record_start_;
  }
  complete_end_ = position_;
  page_at_complete_end_ = page_;
  const bool is_switch = state_ == State::kInRecord && record_.is_segment_switch();
  const bool segment_goes_on = position_.value() % segment_bytes_ != 0;
  state_ = State::kBetweenRecords;
  if (is_switch && segment_goes_on) begin_unused_rest();
}

void RecordScanner::begin_unused_rest() {
  state_ = State::kUnusedRest;
  if (!stops_at_segment_switch_) return;
  is_stopped_by_switch_ = true;
  fail(complete_end_, "the segment was switched here");
}

RecordScanner RecordScanner::at_complete_end() const {
  CHECK(!is_in_first_continuation());
  RecordScanner scanner = *this;
  scanner.position_ = complete_end_;
  // Only behind a switch does the unused rest begin at the end of a record.
  const bool is_in_rest = state_ == State::kUnusedRest || is_stopped_by_switch_;
  scanner.state_ = is_in_rest ? State::kUnusedRest : State::kBetweenRecords;
  scanner.page_header_filled_ = 0;
  scanner.page_ = page_at_complete_end_;
  scanner.is_before_first_page_ = false;
  scanner.stops_at_segment_switch_ = false;
  scanner.is_stopped_by_switch_ = false;
  scanner.trusted_.reset();
  scanner.unproven_.clear();
  scanner.damage_.reset();
  return scanner;
}

void RecordScanner::advance(base::Bytes bytes) {
  raw_checksum_.update(bytes);
  position_ = position_ + bytes.size();
}

/// What is in hand, from its start up to `end`, ends without a checksum of its own.
bool RecordScanner::pass_unproven(pg::Lsn end, const base::Crc32c& sum) {
  const UnprovenRange range{newest_timeline_, record_start_, end, sum.value()};
  if (trusted_ && std::find(trusted_->begin(), trusted_->end(), range) == trusted_->end()) {
    fail(range.start, fmt::format("nothing vouches for the bytes from here to {}", end.to_string()));
    return false;
  }
  unproven_.push_back(range);
  return true;
}

void RecordScanner::fail(pg::Lsn at, std::string what) {
  damage_ = WalDamage{at, std::move(what)};
}

}  // namespace standfast::wal
