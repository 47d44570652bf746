// Receives WAL in a thread of its own, from the backup's start up to its end.
//
// Threading: start(), set_stop(), finish() and the destructor from one thread; has_failed() from any. The
// connection is the thread's from start() until finish() gives it back. Ownership: owns connection and
// thread. Invariant: what is told to the server as flushed is on the disk; with fsync turned off nothing is
// told. Fails: kConnect when the connection breaks (a backup cannot be continued on another one, since the
// temporary slot went with it), kTimeout when the WAL's end does not come, kDiskFull, kIo, kProtocol.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/client/replication_connection.h"
#include "pg/format/lsn.h"
#include "store/segment_writer.h"
#include "wal/receive_session.h"

namespace standfast::clone {

class WalStream {
 public:
  struct Options {
    std::optional<std::string> slot = {};
    pg::Lsn start;  ///< of a segment
    pg::TimelineId timeline;
    store::SegmentWriter::Options segments;
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
  /// What went wrong; only after has_failed().
  base::Error failure();
  std::uint64_t received_bytes() const { return received_bytes_.load(std::memory_order_relaxed); }

 private:
  void run();
  base::Result<void> receive();
  base::Result<void> perform(const std::vector<wal::Action>& actions);
  base::Result<void> perform_one(const wal::Action& action);
  base::Error stream_ended();
  void join();

  client::ReplicationConnection connection_;
  Options options_;
  store::SegmentWriter segments_;
  std::optional<wal::ReceiveSession> session_;
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
