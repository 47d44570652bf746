// Receiving WAL, as decisions only: messages and events go in, actions come out, and the caller performs them
// in their order. No clock, file or socket in here (bin/pg_basebackup/receivelog.c and
// replication/walreceiver.c do the same with all of them).
//
// Threading: one thread. Ownership: the bytes of a Write view the message they came in, so the actions of a
// message are to be performed before the next one is received.
// A flush may take its time: what comes in meanwhile is written, and on_flushed() says what has to be said
// then. Invariants: acknowledged <= durable <= written; WAL is written without gaps and in order; a Write
// never crosses a segment's end; the flush position that a status tells is never more than on_flushed() was
// told, and never goes back; nothing past the stop position is asked for once it is known, and the stream is
// ended only when all up to it is durable. Fails: kProtocol for a message that is not understood or WAL that
// is not the next.
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
/// The segment that begins here is complete: its last byte has been written.
struct FinishSegment {
  pg::Lsn segment_start;
};
/// Make everything written durable; on_flushed() is to be called when it is, now or later.
struct Flush {};
/// Tell the server, with the positions as they are when this is performed.
struct SendStatus {
  pg::ReplyRequest reply_request = pg::ReplyRequest::kNo;
};
/// Everything up to the stop position is here: end the stream.
struct EndStream {};

using Action = std::variant<Write, FinishSegment, Flush, SendStatus, EndStream>;

/// How far a flush has come.
struct Flushed {
  pg::Lsn durable;       ///< everything written up to here is on the disk
  pg::Lsn acknowledged;  ///< what may be told to the server: not past the last complete record, where that
                         ///< matters
};

class ReceiveSession {
 public:
  enum class Report : std::uint8_t { kInIntervals, kEachFlush };
  struct Options {
    pg::Lsn start;  ///< where the stream was asked to start
    std::uint64_t segment_bytes = 0;
    base::Clock::duration status_interval = base::Seconds(10);  ///< zero: only when the server asks
    Report report = Report::kInIntervals;
    /// Told as flushed at first; invalid: nothing yet.
    std::optional<pg::Lsn> acknowledged = {};  ///< absent: the start
    /// Nothing is told before more than this is acknowledged: a record behind it that fits what is held shows
    /// that the server's WAL is ours.
    std::optional<pg::Lsn> unconfirmed = {};
  };
  ReceiveSession(const Options& options, base::Clock::time_point now);

  base::Result<std::vector<Action>> on_message(base::Bytes message, base::Clock::time_point now);
  /// To be called when next_status_at() has come, or nothing else is to be done.
  std::vector<Action> on_time(base::Clock::time_point now);
  /// Where the WAL that is needed ends; may lie behind what is already here.
  std::vector<Action> set_stop(pg::Lsn stop);
  std::vector<Action> on_flushed(const Flushed& flushed, base::Clock::time_point now);

  pg::Lsn written() const { return written_; }
  pg::Lsn acknowledged() const { return acknowledged_; }
  /// How far the server's WAL went when it last said so.
  pg::Lsn server_end() const { return server_end_; }
  base::Clock::time_point next_status_at() const { return next_status_at_; }
  /// kTimeout when a server that said nothing for half a minute was asked to, and went on so for as long. To
  /// be called when all that is here has been taken. TCP does not see a server that hangs.
  base::Result<void> judge_silence(base::Clock::time_point now) const;
  pg::StandbyStatus status() const;

 private:
  base::Result<std::vector<Action>> on_wal(const pg::WalData& wal);
  bool is_unconfirmed() const { return options_.unconfirmed && acknowledged_ <= *options_.unconfirmed; }
  void ask_for_life(std::vector<Action>& actions, base::Clock::time_point now);
  void say_status(std::vector<Action>& actions, base::Clock::time_point now);
  bool stop_is_reached(pg::Lsn position) const { return stop_ && position >= *stop_; }

  Options options_;
  pg::Lsn written_;
  pg::Lsn durable_;
  pg::Lsn acknowledged_;
  pg::Lsn server_end_;
  /// The server asked to be told when all up to here is durable.
  std::optional<pg::Lsn> answer_owed_at_;
  std::optional<pg::Lsn> stop_;
  bool ended_ = false;
  base::Clock::time_point heard_at_;
  std::optional<base::Clock::time_point> asked_for_life_at_;
  base::Clock::time_point next_status_at_;
  /// Until the next status at first, doubled each time: a server counts a receiver only by a report that
  /// comes after it has sent all that there was, and does not say when that is.
  base::Clock::duration next_status_after_ = base::Milliseconds(100);
};

}  // namespace standfast::wal
