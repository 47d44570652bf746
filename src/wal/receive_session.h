// Receiving WAL, as decisions only: messages and events go in, actions come out, and the caller performs them
// in their order. No clock, file or socket in here (bin/pg_basebackup/receivelog.c and
// replication/walreceiver.c do the same with all of them).
//
// Threading: one thread. Ownership: the bytes of a Write view the message they came in, so the actions of a
// message are to be performed before the next one is received.
// Invariants: flushed <= written; WAL is written without gaps and in order; a Write never crosses a segment's
// end; the flush position that a status tells is never more than on_flushed() was told, and never goes back;
// nothing past the stop position is asked for once it is known.
// Fails: kProtocol for a message that is not understood or WAL that is not the next.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "pg/format/lsn.h"
#include "pg/format/replication_message.h"

namespace standfast::wal {

/// Bytes to write at a position.
struct Write {
  pg::Lsn at;
  base::Bytes bytes;
};
/// The segment that begins here is complete: fsync and close it, then call on_flushed().
struct FinishSegment {
  pg::Lsn segment_start;
};
/// Make everything written durable, then call on_flushed().
struct Flush {};
/// Tell the server, with the positions as they are when this is performed.
struct SendStatus {};
/// Everything up to the stop position is here: end the stream.
struct EndStream {};

using Action = std::variant<Write, FinishSegment, Flush, SendStatus, EndStream>;

class ReceiveSession {
 public:
  struct Options {
    pg::Lsn start;  ///< where the stream was asked to start
    std::uint64_t segment_bytes = 0;
    base::Clock::duration status_interval = base::Seconds(10);
  };
  ReceiveSession(const Options& options, base::Clock::time_point now);

  base::Result<std::vector<Action>> on_message(base::Bytes message, base::Clock::time_point now);
  /// To be called when next_status_at() has come, or nothing else is to be done.
  std::vector<Action> on_time(base::Clock::time_point now);
  /// Where the WAL that is needed ends; may lie behind what is already here.
  std::vector<Action> set_stop(pg::Lsn stop);
  /// What was written up to `lsn` is durable.
  void on_flushed(pg::Lsn lsn);

  pg::Lsn written() const { return written_; }
  pg::Lsn flushed() const { return flushed_; }
  base::Clock::time_point next_status_at() const { return next_status_at_; }
  pg::StandbyStatus status() const;

 private:
  base::Result<std::vector<Action>> on_wal(const pg::WalData& wal);
  void end_if_stop_is_reached(std::vector<Action>& actions);

  Options options_;
  pg::Lsn written_;
  pg::Lsn flushed_;
  std::optional<pg::Lsn> stop_;
  bool ended_ = false;
  base::Clock::time_point next_status_at_;
};

}  // namespace standfast::wal
