// Receives WAL in a thread of its own, from the backup's start up to its end.
//
// Threading: start(), set_stop(), finish() and the destructor from one thread; has_failed() from any. The
// connection is the thread's from start() until finish() gives it back. Ownership: owns connection and
// thread. Invariant: what is told to the server as flushed is on the disk; with fsync turned off nothing is
// told. Fails: kConnect when the connection breaks (a backup cannot be continued on another one, since the
// temporary slot went with it), kTimeout when the WAL's end does not come, kDiskFull, kIo, kProtocol;
// kPrecondition where the WAL of the backup moves a database (wal/database_moves.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>

#include "base/result.h"
#include "clone/source.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/client/replication_connection.h"
#include "pg/format/lsn.h"
#include "store/segment_writer.h"
#include "wal/database_moves.h"
#include "wal/receive_session.h"

namespace standfast::clone {

/// Where a slot has to begin for a server that has the WAL up to `stop` and goes on from there: at a
/// segment's start, and not before what the source was told is safe here. That may lie behind `stop`, since
/// WAL goes on coming until the stop is known, and the source has let go of what lies before it.
pg::Lsn hand_over_position(pg::Lsn stop, pg::Lsn acknowledged, std::uint64_t segment_bytes);

class WalStream {
 public:
  struct Options {
    std::optional<std::string> slot = {};
    pg::Lsn start;  ///< of the backup; what is streamed begins with its segment
    pg::TimelineId timeline;
    store::SegmentWriter::Options segments;
    Left left = Left::kPart;  ///< of the copy, where this fails
  };
  WalStream(env::FileSystem& files, client::ReplicationConnection connection, Options options);
  /// Ends the thread and closes the connection.
  ~WalStream();
  WalStream(const WalStream&) = delete;
  WalStream& operator=(const WalStream&) = delete;

  /// Sends START_REPLICATION, and the timeline's history is fetched; then the thread begins.
  base::Result<void> start(const env::Wait& wait);
  bool has_failed() const { return failed_.load(std::memory_order_acquire); }
  void set_stop(pg::Lsn stop);
  /// Waits until the stop position is reached and durable. Gives the connection back, ready for a command.
  base::Result<client::ReplicationConnection> finish(const env::StopEvent& stop);
  /// What the server was told is durable here; only after finish().
  pg::Lsn acknowledged() const { return session_->acknowledged(); }
  /// What went wrong; only after has_failed().
  base::Error failure();
  std::uint64_t received_bytes() const { return received_bytes_.load(std::memory_order_relaxed); }

 private:
  void run();
  base::Result<void> receive();
  base::Result<void> perform(const std::vector<wal::Action>& actions);
  base::Result<void> perform_one(const wal::Action& action);
  /// With fsync turned off nothing is told to the server.
  wal::Flushed reached(pg::Lsn lsn) const;
  base::Error stream_ended();
  void join();

  client::ReplicationConnection connection_;
  Options options_;
  store::SegmentWriter segments_;
  std::optional<wal::ReceiveSession> session_;
  wal::DatabaseMoves moves_;
  bool ended_ = false;
  std::atomic<std::uint64_t> stop_at_ = 0;
  std::atomic<bool> give_up_ = false;
  std::atomic<bool> failed_ = false;
  std::atomic<bool> done_ = false;
  std::atomic<std::uint64_t> received_bytes_ = 0;
  base::Result<void> outcome_;
  std::thread thread_;
};

}  // namespace standfast::clone
