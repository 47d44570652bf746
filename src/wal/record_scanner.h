// Follows WAL from page to page and record to record, and says how far it is whole
// (access/transam/xlogreader.c XLogReadRecord(), without keeping a record: a checksum needs only to see its
// bytes once).
//
// A position counts as complete when it is the end of a record whose checksum holds and that follows the one
// before it (xl_prev). Records run over pages and segments, their headers too. A record that a crash cut off
// is abandoned when the next page says so (XLP_FIRST_IS_OVERWRITE_CONTRECORD). After a segment switch the
// rest of the segment counts for nothing, whatever is in it: a server that crashed may keep anything there.
//
// Threading: a value; copy it to come back to where it was.
// Invariant: complete_end() <= position(), and neither goes back.
// Fails by damage(): from there on feed() takes nothing more. Whether that is damage or merely the end of the
// WAL in a file that is longer is for the caller to say.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "pg/format/lsn.h"
#include "pg/format/wal_record.h"

namespace standfast::wal {

/// Bytes that no record's checksum vouches for: the end of a record that began before the start, or what is
/// left of one that was abandoned.
struct UnprovenRange {
  pg::TimelineId timeline;
  pg::Lsn start;
  pg::Lsn end;
  std::uint32_t checksum = 0;  ///< CRC-32C of the bytes as they lie there, page headers too
  bool operator==(const UnprovenRange&) const = default;
};

struct WalDamage {
  pg::Lsn at;        ///< of the page or of the record
  std::string what;  ///< "the checksum of the record does not match"
};

class RecordScanner {
 public:
  struct Options {
    /// The first byte of a page, or where a record begins.
    pg::Lsn start;
    /// Whose files these are; pages from before its fork bear an older number.
    pg::TimelineId timeline;
    std::uint64_t segment_bytes = 0;
    std::optional<pg::SystemId> system_id = {};  ///< not compared when absent
    /// Where the record before `start` begins, if that is known.
    std::optional<pg::Lsn> previous_record = {};
  };
  explicit RecordScanner(const Options& options);

  /// The bytes that come next.
  void feed(base::Bytes bytes);
  /// The same up to where complete_end() moves on to; gives how many of them that took. Where last_record()
  /// has moved on with it, last_header() is that record's.
  std::size_t feed_to_next_end(base::Bytes bytes);
  /// From here on a segment switch is where the WAL ends, as damage(): what follows it in the segment proves
  /// nothing.
  void stop_at_segment_switch() { stops_at_segment_switch_ = true; }
  /// From here on a range that is not one of these ends the WAL too, as damage().
  void trust_only(std::vector<UnprovenRange> ranges) { trusted_ = std::move(ranges); }
  /// Ranges that have been passed since the last call.
  std::vector<UnprovenRange> take_unproven() { return std::exchange(unproven_, {}); }
  /// A scanner that stands at complete_end(), for a stream that is to go on from there. Not to be called
  /// before a record has ended.
  RecordScanner at_complete_end() const;

  pg::Lsn position() const { return position_; }
  /// The start, until a record has ended.
  pg::Lsn complete_end() const { return complete_end_; }
  /// Where the last complete record begins, if there was one.
  std::optional<pg::Lsn> last_record() const { return previous_record_; }
  const pg::WalRecordHeader& last_header() const { return record_; }
  /// Within what a segment switch left unused.
  bool is_in_unused_rest() const { return state_ == State::kUnusedRest; }
  /// The start lies within a record, or may do so, and its end has not come yet.
  bool is_in_first_continuation() const {
    return state_ == State::kFirstContinuation || is_before_first_page_;
  }
  const std::optional<WalDamage>& damage() const { return damage_; }

 private:
  enum class State : std::uint8_t { kBetweenRecords, kInRecord, kFirstContinuation, kUnusedRest };

  std::size_t take(base::Bytes bytes);
  std::size_t take_page_header(base::Bytes bytes);
  bool judge_page(const pg::WalPageHeader& header);
  bool judge_continuation(const pg::WalPageHeader& header);
  std::size_t take_content(base::Bytes bytes);
  std::size_t take_record_header(base::Bytes bytes);
  void keep_as_header_end(base::Bytes bytes);
  void begin_record();
  void judge_record_header();
  void end_record();
  void begin_unused_rest();
  void advance(base::Bytes bytes);
  bool pass_unproven(pg::Lsn end, const base::Crc32c& sum);
  void fail(pg::Lsn at, std::string what);

  pg::TimelineId newest_timeline_;
  std::uint64_t segment_bytes_;
  std::optional<pg::SystemId> system_id_;

  State state_ = State::kBetweenRecords;
  pg::Lsn position_;
  pg::Lsn complete_end_;
  std::optional<pg::Lsn> previous_record_;
  bool is_before_first_page_ = false;
  bool stops_at_segment_switch_ = false;
  bool is_stopped_by_switch_ = false;
  /// What the start lies in may be a header of which only the end is here; where it ends, if it is a
  /// switch's.
  bool starts_in_header_ = false;
  std::optional<pg::Lsn> possible_switch_end_;
  std::optional<std::vector<UnprovenRange>> trusted_;
  std::vector<UnprovenRange> unproven_;
  std::optional<WalDamage> damage_;

  // Of the page.
  std::array<std::byte, pg::kWalLongHeaderBytes> page_header_{};
  std::size_t page_header_filled_ = 0;
  /// What the last page said that the next one has to fit.
  struct PageFacts {
    std::optional<std::uint16_t> magic;
    pg::TimelineId timeline;
  };
  PageFacts page_;
  PageFacts page_at_complete_end_;

  // Of the record, or of what continues at the start. The raw sum is that of all bytes since, page headers
  // too; at a page's start it is kept, for that page may say that the record ended before it.
  base::Crc32c raw_checksum_;
  base::Crc32c raw_checksum_before_page_;
  pg::Lsn record_start_;
  std::array<std::byte, pg::kWalRecordHeaderBytes> record_header_{};
  std::size_t record_header_filled_ = 0;
  pg::WalRecordHeader record_;
  std::uint64_t remaining_bytes_ = 0;
  base::Crc32c checksum_;
};

}  // namespace standfast::wal
