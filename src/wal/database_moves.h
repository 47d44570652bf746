// Finds, in WAL as it comes, that a database was moved between tablespaces.
//
// A server logs such a move as a copy of the database's folder, file by file and without their content, and
// then drops the old folder (commands/dbcommands.c movedb(), dbase_redo()). Who replays that over a copy of
// the server which was made meanwhile may not have the old folder any more; it is made, empty, and copied
// over the new one: the database is lost, and nothing says so. That is so for every base backup.
//
// Threading: one thread. Ownership: a value; borrows nothing after feed(). Memory: bounded. What is damaged
// cannot be followed: nothing is found behind it, and no server replays it either.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "pg/format/lsn.h"
#include "wal/record_scanner.h"

namespace standfast::wal {

struct DatabaseMove {
  pg::Lsn at;  ///< where its record begins
  std::uint32_t database = 0;
  bool operator==(const DatabaseMove&) const = default;
};

class DatabaseMoves {
 public:
  struct Options {
    pg::Lsn from;  ///< moves before that do not count
    pg::TimelineId timeline;
    std::uint64_t segment_bytes = 0;
  };
  /// What is fed begins with the segment that `from` is in.
  explicit DatabaseMoves(const Options& options);

  void feed(base::Bytes bytes);
  const std::optional<DatabaseMove>& first() const { return first_; }

 private:
  void judge_record(base::Bytes chunk, pg::Lsn chunk_start);
  std::string record_bytes(base::Bytes chunk, pg::Lsn chunk_start) const;
  void keep_recent(base::Bytes chunk);

  Options options_;
  RecordScanner scanner_;
  std::string recent_;  ///< the last bytes of what was fed before, in which a record may have begun
  std::optional<DatabaseMove> first_;
};

}  // namespace standfast::wal
