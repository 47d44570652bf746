#include "witness/keeper.h"

#include <algorithm>
#include <utility>

#include <sys/resource.h>

#include "store/segment_compressor.h"

namespace standfast::witness {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Milliseconds kLookEach(500);
constexpr base::Seconds kRetryAfter(60);
constexpr int kNiceness = 10;
/// Spare segments are a convenience: they leave the stream room for as many segments.
constexpr std::uint64_t kSegmentsLeftFree = 8;

}  // namespace

std::vector<store::SegmentEntry> segments_to_pack(const store::WalFolder& folder, pg::Lsn acknowledged,
                                                  std::uint64_t segment_bytes) {
  std::vector<store::SegmentEntry> found;
  const pg::Lsn end = acknowledged.segment_start(segment_bytes);
  for (const store::SegmentEntry& entry : folder.segments) {
    // One whole segment stays before that in which the acknowledged WAL ends.
    if (entry.form == store::SegmentForm::kWhole && entry.start + 2 * segment_bytes <= end)
      found.push_back(entry);
  }
  return found;
}

Keeper::Keeper(env::FileSystem& files, store::WalStore& store, Options options)
    : files_(files), store_(store), options_(std::move(options)), thread_([this] { run(); }) {}

Keeper::~Keeper() {
  stop_.set();
  thread_.join();
}

std::optional<Error> Keeper::take_failure() {
  const std::lock_guard lock(mutex_);
  return std::exchange(failure_, std::nullopt);
}

void Keeper::run() {
  // On Linux that of the calling thread. Refused or not, it works.
  static_cast<void>(setpriority(PRIO_PROCESS, 0, kNiceness));
  base::Clock::duration wait = kLookEach;
  while (env::wait_for(-1, 0, env::Wait::for_at_most(wait, &stop_)) != env::Ready::kStopped) {
    const auto done = look_after();
    wait = done ? base::Clock::duration(kLookEach) : base::Clock::duration(kRetryAfter);
    if (done || done.error().code == ErrorCode::kCancelled) continue;
    const std::lock_guard lock(mutex_);
    failure_ = done.error();
  }
}

Result<void> Keeper::look_after() {
  const store::Positions positions = store_.positions();
  if (options_.packing) TRY(pack_finished(positions.acknowledged));
  if (options_.retire) TRY(options_.retire(store_));
  const bool is_idle = std::exchange(last_written_, positions.written) == positions.written;
  return is_idle ? write_spare() : base::ok();
}

Result<void> Keeper::pack_finished(pg::Lsn acknowledged) {
  const store::WalStore::Options& of_store = store_.options();
  const pg::Lsn segment = acknowledged.segment_start(of_store.segment_bytes);
  if (segment == packed_for_) return base::ok();
  const auto folder = TRY(store::list_wal_folder(files_, of_store.folder, of_store.segment_bytes));
  for (const auto& entry : segments_to_pack(folder, acknowledged, of_store.segment_bytes)) {
    TRY(store::compress_segment(files_,
                                {.folder = of_store.folder,
                                 .segment_bytes = of_store.segment_bytes,
                                 .file_mode = of_store.file_mode,
                                 .packing = *options_.packing},
                                entry, stop_));
  }
  packed_for_ = segment;
  return base::ok();
}

Result<void> Keeper::write_spare() {
  if (store_.spares().count() >= options_.spare_segments) return base::ok();
  const auto space = TRY(files_.space(store_.options().folder));
  if (space.available_bytes < (kSegmentsLeftFree + 1) * store_.options().segment_bytes) return base::ok();
  return store_.spares().write_one();
}

}  // namespace standfast::witness
