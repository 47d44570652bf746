// Makes WAL durable in a thread of its own, so that a stream that never pauses is acknowledged all the same
// (replication/walreceiver.c and receivelog.c flush only when the socket is empty or a segment full).
//
// A flush begins when it is asked for, when `max_unflushed_bytes` have been written, or when remind() finds
// that the oldest of them has waited for `max_delay`; one flush takes all that was written before it. While
// twice as much as that is unflushed, the writer waits. A little that nothing is in the way of is flushed in
// the writer's own thread: two changes of threads cost a commit as much as its write.
//
// Threading: all of it from the writer's thread. Ownership: owns its thread; borrows the store. Fails as
// WalStore::flush() does; after a failure nothing is flushed any more, and every call says so.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "base/result.h"
#include "base/time.h"
#include "env/stop_event.h"
#include "store/wal_store.h"

namespace standfast::witness {

class Flusher {
 public:
  struct Options {
    std::uint64_t max_unflushed_bytes = std::uint64_t{4} << 20U;
    base::Milliseconds max_delay{200};
    /// No more than this is flushed in the writer's thread.
    std::uint64_t little_bytes = std::uint64_t{256} << 10U;
  };
  Flusher(store::WalStore& store, const Options& options);
  /// Flushes no more; what was written stays for the next start to judge.
  ~Flusher();
  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;

  /// So many bytes have been appended to the store.
  void wrote(std::uint64_t bytes);
  void ask();
  /// Begins a flush, or has done it when it returns.
  void flush_now();
  /// To be called at due_at() at the latest.
  void remind();
  /// The end of time when nothing waits for anything but a flush that runs.
  base::Clock::time_point due_at() const;
  /// kTimeout when the disk takes longer than the deadline.
  base::Result<void> wait_for_room(const env::Wait& wait);
  /// Flushes all that was written, and waits for it.
  base::Result<store::Positions> flush_all(const env::Wait& wait);
  /// Readable when there is news of the other thread's.
  int fd() const { return fd_; }
  /// What the last flush came to; no value if nothing is new.
  base::Result<std::optional<store::Positions>> take_news();

 private:
  void run();
  bool is_due() const;
  void flush(std::unique_lock<std::mutex>& lock);
  void tell_other_thread();

  store::WalStore& store_;
  const Options options_;
  int fd_;

  mutable std::mutex mutex_;  // for all below
  std::condition_variable wake_;
  std::condition_variable flushed_;
  bool stop_ = false;
  bool asked_ = false;
  bool fd_is_readable_ = false;
  std::uint64_t unflushed_bytes_ = 0;  ///< not yet taken by a flush
  std::uint64_t in_flight_bytes_ = 0;
  base::Clock::time_point oldest_at_{};
  std::optional<store::Positions> news_;
  std::optional<base::Error> failure_;
  std::thread thread_;
};

}  // namespace standfast::witness
