// A folder of WAL that can be trusted with a commit: segments as pg_receivewal keeps them (the one that is
// not full is NAME.partial), each byte acknowledged only when a start after any crash would find it again
// (bin/pg_basebackup/receivelog.c, walmethods.c).
//
// The order of positions, asserted at every change:
//     acknowledged <= durable <= written     acknowledged <= complete <= written
// written: taken by append(); it waits in memory, and flush() brings it to the file system. complete: the end
// of the last whole record in it (wal::RecordScanner). durable: fsynced, names too. acknowledged: what was
// complete when all of it became durable. How much waits in memory is bounded by whoever calls flush() in
// time.
//
// A full segment is fsynced, then gets its name, then the folder is fsynced; what lies in it counts as
// acknowledged past a segment switch only then. So a segment under its final name is whole, and the .partial
// ones are a tail whose records prove how far it is good. open() proves it: fsync, then the bytes are read
// from the device. Where the file system has no such reads, they are written once more to a new file and
// fsynced: after a failed fsync the page cache still shows bytes that the disk may never have had, and only a
// write of its own tells.
//
// What a first segment begins with may belong to a record that began before all that is here. Its checksum
// can never be computed again, so that part has a checksum of its own, in the file standfast.anchors, before
// anything behind it is acknowledged.
//
// Threading: append(), begin() and tail() from one thread, and they touch no disk; flush() from one, the same
// or another, but not during begin(); the rest from any. Ownership: owns the open files; borrows the
// FileSystem. Nobody else writes to the folder: its lock is the caller's matter. Fails: kIo, kDiskFull,
// kPermission; kDamaged where WAL that comes in is not whole. After a failed write or fsync every later
// append() and flush() fails: nothing is acknowledged any more.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "env/file_system.h"
#include "pg/format/lsn.h"
#include "store/anchor.h"
#include "store/spare_segments.h"
#include "store/staged_bytes.h"
#include "store/tail_proof.h"
#include "store/wal_folder.h"
#include "wal/record_scanner.h"

namespace standfast::store {

struct Positions {
  pg::TimelineId timeline;
  pg::Lsn written, complete, durable;
  pg::Lsn acknowledged;  ///< invalid: nothing on this timeline yet
};

class WalStore {
 public:
  using Options = TailProofOptions;
  /// Proves the tail of an existing folder.
  static base::Result<std::unique_ptr<WalStore>> open(env::FileSystem& files, Options options);

  const Options& options() const { return options_; }
  /// Where the stream is to go on; of what was appended, only whole records count. No value: the folder is
  /// empty.
  std::optional<Tail> tail() const;
  Positions positions() const;
  /// A start proves the tail with WAL from here on, so that has to stay: a record that goes on in the last
  /// segment may have begun many segments before it.
  pg::Lsn proof_from() const;

  /// What append() gets next begins here: at the tail's resume_at on its timeline, or at a segment's start.
  /// All that was appended before must have been flushed.
  struct Begin {
    pg::TimelineId timeline;
    pg::Lsn start;
    /// Where the timeline begins; nothing before it is acknowledged on it.
    pg::Lsn fork = {};
  };
  base::Result<void> begin(const Begin& begin);
  /// Bytes that do not cross a segment's end.
  base::Result<void> append(pg::Lsn at, base::Bytes bytes);
  /// Makes durable what was written when it was called.
  base::Result<Positions> flush();
  /// A timeline's history file, durable.
  base::Result<void> write_history(pg::TimelineId timeline, std::string_view content);

  SpareSegments& spares() { return spares_; }

 private:
  using Stages = std::vector<std::unique_ptr<StagedBytes>>;
  struct Segment {
    pg::TimelineId timeline;
    pg::Lsn start;
    pg::Lsn proof_from;
    Stages staged;    ///< what came since the last flush
    FileToFill file;  ///< the flushing thread's own, from its first flush on
  };
  /// What flush() works on, taken while nothing moves.
  struct Round {
    std::vector<std::shared_ptr<Segment>> finished;
    std::shared_ptr<Segment> current;
    Stages staged;                   ///< of the current one
    std::optional<Anchors> anchors;  ///< to be written
    Positions reached;
  };
  WalStore(env::FileSystem& files, Options options);

  void stage(pg::Lsn at, base::Bytes bytes);
  std::unique_ptr<StagedBytes> idle_stage();
  base::Result<void> scan(base::Bytes bytes);
  void take_anchors(const Anchors& passed);
  base::Result<void> make_durable(Round& round);
  enum class Name : std::uint8_t { kAsBefore, kNew };
  base::Result<Name> open_file(Segment& segment);
  base::Result<Name> fill(Segment& segment, Stages staged);
  base::Result<void> remember_failure(base::Result<void> result);
  std::string path_of(const Segment& segment, SegmentForm form) const;
  void check_order() const;

  env::FileSystem& files_;
  const Options options_;
  SpareSegments spares_;

  // The appending thread's own.
  std::optional<wal::RecordScanner> scanner_;           ///< stands at positions_.written
  std::optional<wal::RecordScanner> at_segment_start_;  ///< what it was when the current segment began

  mutable std::mutex mutex_;  // for all below
  Positions positions_;
  pg::Lsn fork_;
  pg::Lsn began_at_;
  pg::Lsn proof_from_;
  std::shared_ptr<Segment> current_;
  std::vector<std::shared_ptr<Segment>> finished_;  ///< full, not yet durable
  Stages idle_;                                     ///< memory that is used again
  Anchors anchors_;                                 ///< of all that has no final name yet
  bool anchors_have_changed_ = false;
  std::optional<base::Error> failure_;
};

}  // namespace standfast::store
