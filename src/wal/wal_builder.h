// For tests: WAL as a server writes it, byte for byte in form, from the records that a test wants.
//
// Pages have the headers of a major, short or long; records have their xl_prev and CRC-32C, may be of any
// length and are cut by pages and segments wherever these end, in their headers too. What servers do beside,
// seen on 12, 15 and 18:
//
// A segment switch leaves zeros in the rest of the segment, in the place of page headers too.
//
// A server that finds its WAL ending inside a record, at a page's start, goes on at that page, whose header
// says that what would continue there was abandoned; its first record, OVERWRITE_CONTRECORD, names the lost
// one, and its xl_prev the last record that is whole.
//
// A new timeline's first segment begins with a copy of the old one up to the fork: pages that begin before
// the fork keep the old timeline's number.
//
// Threading: one thread. Ownership: owns its bytes. Invariant: bytes() begins at a segment's start and ends
// at a record's end. Follows access/transam/xlog.c CopyXLogRecordToWAL(), AdvanceXLInsertBuffer(),
// XLogFileCopy(), CreateOverwriteContrecordRecord().
#pragma once

#include <random>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "pg/format/lsn.h"

namespace standfast::wal::testing {

/// Something that no server minds: a NOOP of the WAL's own resource manager with any data.
struct Record {
  std::string data;
  std::uint32_t transaction = 0;
  std::uint8_t resource_manager = 0;
  std::uint8_t info = 0x20;
};

/// Where a record lies.
struct Placed {
  pg::Lsn start;
  pg::Lsn end;  ///< aligned; of a switch: the segment's end
  std::uint32_t total_bytes = 0;
};

/// A record that was begun and lost in a crash.
struct Abandoned {
  pg::Lsn start;
  pg::Lsn lost_from;  ///< a page's start: what would be there never came to the disk
};

class WalBuilder {
 public:
  struct Options {
    pg::Lsn start = pg::Lsn(std::uint64_t{16} << 20U);  ///< a segment's start
    std::uint64_t segment_bytes = 1U << 20U;            ///< a power of two; servers have at least 1 MiB
    pg::TimelineId timeline = pg::TimelineId(1);
    unsigned major = 15;
    pg::SystemId system_id = pg::SystemId(0x6B03'34B7'1203'75A1U);
    pg::Lsn previous = {};  ///< xl_prev of the first record
  };
  explicit WalBuilder(const Options& options);

  const Placed& append(const Record& record);
  /// pg_switch_wal(): nothing where the segment has just begun.
  void switch_segment();
  /// A crash during `record`, of which what lies on the first `pages` pages is left, and the server's next
  /// start. The record must reach farther.
  Abandoned abandon(const Record& record, std::size_t pages);
  /// The same WAL up to the end of a record, for a new timeline to go on with.
  WalBuilder fork(pg::Lsn at, pg::TimelineId timeline) const;

  /// What append_random() does, in proportion.
  struct Weights {
    unsigned small = 60;     ///< up to some hundred bytes
    unsigned pages = 20;     ///< up to three pages
    unsigned large = 2;      ///< up to large_bytes
    unsigned page_end = 12;  ///< ends at a page's end, or so that the next header is split by it
    unsigned segment_switch = 2;
    unsigned abandoned = 3;
    std::size_t large_bytes = 200'000;
  };
  void append_random(std::mt19937_64& random, const Weights& weights);

  pg::Lsn start() const { return options_.start; }
  pg::Lsn end() const { return options_.start + bytes_.size(); }
  pg::TimelineId timeline() const { return options_.timeline; }
  std::uint64_t segment_bytes() const { return options_.segment_bytes; }
  const std::string& bytes() const { return bytes_; }              ///< from start() to end()
  const std::vector<Placed>& records() const { return records_; }  ///< those that are whole
  const std::vector<Abandoned>& abandoned() const { return abandoned_; }
  std::vector<pg::Lsn> record_ends() const;
  /// The file of the segment that holds `position`, what is not written yet as zeros.
  std::string segment(pg::Lsn position) const;

 private:
  pg::Lsn next_record_start() const;
  std::string encode(const Record& record) const;
  void begin_page(std::size_t remaining_bytes, bool abandons_record);
  void append_until(const std::string& record, pg::Lsn limit);
  Record random_record(std::mt19937_64& random, std::size_t data_bytes) const;
  void append_to_page_end(std::mt19937_64& random);
  void abandon_random(std::mt19937_64& random);

  Options options_;
  pg::Lsn previous_;
  std::string bytes_;
  std::vector<Placed> records_;
  std::vector<Abandoned> abandoned_;
};

}  // namespace standfast::wal::testing
