// Receives a primary's WAL into a store, over broken connections, restarts and new timelines
// (bin/pg_basebackup/pg_receivewal.c and receivelog.c). Where a stream begins is wal::plan_receive()'s to
// say, what comes of a message wal::ReceiveSession's, what is durable the store's; here they are performed.
//
// Threading: run() is called once, in one thread, and starts the flusher's and the keeper's; connect_by()
// from any. Ownership: owns store, connection and threads; borrows files, reporter and stop event. The folder
// is locked while it runs. Invariant: what is told to a server as flushed is durable, ends with a whole
// record, and came on that timeline. Fails: what a next attempt may mend (no connection, the server is being
// stopped) only with kOnce; else kPrecondition (another system, a gap, a fork below what was acknowledged),
// kDamaged, kDiskFull, kIo, kSlot, kInUse.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/reporter.h"
#include "base/result.h"
#include "env/file_system.h"
#include "env/folder_lock.h"
#include "env/stop_event.h"
#include "pg/client/replication_connection.h"
#include "pg/format/frontend_message.h"
#include "store/wal_store.h"
#include "wal/receive_plan.h"
#include "wal/receive_session.h"
#include "witness/flusher.h"
#include "witness/keeper.h"

namespace standfast::witness {

enum class Attempts : std::uint8_t {
  kForever,
  kOnce,
  kWhateverTheServerSays  ///< only a disk that fails ends it: others go on with what is there
};
/// When what came in is made durable: as soon as nothing more is there to be read, or in bounds of time and
/// bytes.
enum class FlushWhen : std::uint8_t { kInBounds, kAtOnce };

struct ReceiverOptions {
  client::ConnectOptions connect;
  std::string folder;
  std::optional<std::string> slot = {};
  base::Milliseconds status_interval = base::Seconds(10);
  FlushWhen flush_when = FlushWhen::kInBounds;
  Attempts attempts = Attempts::kForever;
  std::optional<pg::Lsn> end = {};  ///< receive up to here, then end
  std::optional<pg::Lsn> accept_fork = {};
  std::size_t spare_segments = 2;
  std::optional<store::Packing> packing = {};  ///< of finished segments
};

/// Of the server that is streamed from.
struct StreamFacts {
  pg::TimelineId timeline;
  pg::SystemId system_id;
  std::uint64_t segment_bytes = 0;
  std::string server_version;
};

/// What others in the process are told, from the receiver's thread and the flusher's.
struct ReceiverHooks {
  /// The store is open and its tail proven; it lives until run() ends.
  std::function<base::Result<void>(store::WalStore&)> on_store = {};
  /// A stream has begun; the history of its timeline is in the folder.
  std::function<base::Result<void>(const StreamFacts&)> on_stream = {};
  std::function<void(const store::Positions&)> on_flushed = {};
  /// An attempt has ended with this; there will be another one.
  std::function<void(const base::Error&)> on_trouble = {};
  /// What standbys behind us need, to be told to the server as it changes; no value: nothing is told.
  std::function<std::optional<pg::HotStandbyFeedback>()> feedback = {};
  /// Called now and then, in the keeper's thread, to let go of what nobody needs.
  std::function<base::Result<void>(store::WalStore&)> retire = {};
};

struct ReceiverOutcome {
  store::Positions positions;
  bool reached_end = false;
};

class Receiver {
 public:
  Receiver(env::FileSystem& files, base::Reporter& reporter, const env::StopEvent& stop,
           ReceiverOptions options, ReceiverHooks hooks = {});
  ~Receiver();
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;
  /// How the server is reached from now on; a stream that goes on is ended for it. From any thread.
  void connect_by(client::ConnectOptions connect);
  /// Until the end that was asked for, the stop event, or an error.
  base::Result<ReceiverOutcome> run();

 private:
  enum class StreamEnd : std::uint8_t { kStopped, kReachedEnd, kTimelineEnded, kLeft };

  enum class Taken : std::uint8_t { kSome, kAll, kEnd };

  base::Result<StreamEnd> attempt();
  /// What is in the folder is proven without the server, which may be gone.
  base::Result<void> open_what_is_there();
  base::Result<void> open_store(const store::WalOrigin& origin);
  base::Result<void> check_server(const client::SystemIdentity& identity);
  base::Result<wal::ReceiveStart> plan(const client::SystemIdentity& identity,
                                       const pg::TimelineHistory& history);
  /// Up to where the server's WAL has not shown itself to be ours, although it does not differ.
  base::Result<std::optional<pg::Lsn>> unconfirmed(const wal::ReceiveStart& start);
  base::Result<StreamEnd> stream(const wal::ReceiveStart& start, const std::optional<pg::Lsn>& unconfirmed);
  base::Result<StreamEnd> receive();
  /// Ours, or the answer to the server's.
  base::Result<void> end_stream(const env::Wait& wait);
  base::Result<StreamEnd> end_of_stream();
  /// What is here is made durable and told, so that the next stream has nothing to fetch twice.
  base::Result<void> flush_and_tell();
  client::ConnectOptions take_connect();
  /// Up to a bound.
  base::Result<Taken> take_messages();
  void wait_for_something();
  /// While much is waiting on the server, the socket is read only when much has come: fewer calls for it.
  /// What ends a stream is little, so that this must have ended before.
  void read_in_bulk(bool in_bulk);
  base::Result<void> take_flushes();
  base::Result<void> perform(const std::vector<wal::Action>& actions);
  base::Result<void> perform_one(const wal::Action& action);
  base::Result<void> settle();
  void write_first_spare();
  void tell_what_the_keeper_met();
  base::Result<void> send_feedback();
  base::Seconds pause_after(const base::Error& error) const;
  void tell_trouble(const base::Error& error, base::Seconds again);
  env::Wait answer_wait() const;

  env::FileSystem& files_;
  base::Reporter& reporter_;
  const env::StopEvent& stop_;
  const ReceiverOptions options_;
  const ReceiverHooks hooks_;

  std::optional<env::FolderLock> lock_;
  std::optional<client::ReplicationConnection> connection_;
  store::WalOrigin origin_;  ///< of the store
  std::unique_ptr<store::WalStore> store_;
  std::unique_ptr<Flusher> flusher_;
  std::unique_ptr<Keeper> keeper_;
  std::optional<wal::ReceiveSession> session_;
  bool ended_ = false;
  bool has_streamed_ = false;
  bool reads_in_bulk_ = false;
  std::atomic<bool> is_to_leave_ = false;
  int wake_fd_;  ///< eventfd: there is another way to connect
  std::mutex connect_mutex_;
  client::ConnectOptions connect_;
  std::string told_trouble_;
  std::optional<pg::HotStandbyFeedback> told_feedback_;
  base::Clock::time_point next_feedback_at_{};
};

}  // namespace standfast::witness
