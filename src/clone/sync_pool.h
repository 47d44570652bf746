// Threads that make written files durable while the rest is still being received.
//
// One fsync commits the file system's journal for all files before it, so files are synced in batches: the
// first of a batch pays, the others cost next to nothing. That their data is on its way to the disk by then
// is for the writer to see to (File::start_writeback()).
//
// Threading: add() from any number of threads, finish() from one, after all of them.
// Ownership: takes the files over and closes them.
// Invariant: at most kMaxUnsyncedFiles are open here; add() waits when there are more.
// Fails: the first failure of an fsync or close is what add() and finish() return from then on.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"

namespace standfast::clone {

class SyncPool {
 public:
  static constexpr std::size_t kThreads = 4;
  static constexpr std::size_t kBatchFiles = 128;
  static constexpr std::size_t kMaxUnsyncedFiles = 3 * kBatchFiles;

  SyncPool();
  /// Drops what has not been synced yet.
  ~SyncPool();
  SyncPool(const SyncPool&) = delete;
  SyncPool& operator=(const SyncPool&) = delete;

  base::Result<void> add(std::unique_ptr<env::File> file);
  /// Waits until all are durable, or `stop` is set.
  base::Result<void> finish(const env::StopEvent& stop);

 private:
  void run();
  void release_all();
  base::Result<void> failure_if_any() const;

  mutable std::mutex mutex_;
  std::condition_variable work_there_;
  std::condition_variable work_done_;
  std::deque<std::unique_ptr<env::File>> waiting_;
  std::size_t released_ = 0;  ///< of those waiting, the first ones, which may be synced now
  std::size_t in_hand_ = 0;
  bool closing_ = false;
  std::optional<base::Error> failure_;
  std::vector<std::thread> threads_;
};

}  // namespace standfast::clone
