// Looks after a store beside its stream: packs segments that are finished, and writes spare ones while
// nothing comes in.
//
// What may be packed is a step behind the stream: not the last whole segment, and nothing behind the last
// record that is acknowledged, so that a start finds what it proves the tail with as it was written.
//
// Threading: a thread of its own, of low priority; take_failure() from any. Ownership: owns the thread,
// borrows files and store. What fails is told by take_failure() and tried again after a while: the stream
// goes on.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "store/packing.h"
#include "store/wal_folder.h"
#include "store/wal_store.h"

namespace standfast::witness {

class Keeper {
 public:
  struct Options {
    std::size_t spare_segments = 2;
    std::optional<store::Packing> packing = {};
    /// Called each time; lets go of what nobody needs.
    std::function<base::Result<void>(store::WalStore&)> retire = {};
  };
  Keeper(env::FileSystem& files, store::WalStore& store, Options options);
  /// Ends what it is at; a segment that is half packed stays as it was.
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  /// What has failed since it was last asked.
  std::optional<base::Error> take_failure();

 private:
  void run();
  base::Result<void> look_after();
  base::Result<void> pack_finished(pg::Lsn acknowledged);
  base::Result<void> write_spare();

  env::FileSystem& files_;
  store::WalStore& store_;
  const Options options_;
  env::StopEvent stop_;

  // The thread's own.
  pg::Lsn packed_for_;  ///< the segment in which the acknowledged end was when all was packed
  pg::Lsn last_written_;

  std::mutex mutex_;
  std::optional<base::Error> failure_;
  std::thread thread_;
};

/// Those that may be packed now, the oldest first.
std::vector<store::SegmentEntry> segments_to_pack(const store::WalFolder& folder, pg::Lsn acknowledged,
                                                  std::uint64_t segment_bytes);

}  // namespace standfast::witness
