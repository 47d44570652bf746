// The messages of a backup on their way from the thread that receives them to the one that writes them.
//
// Threading: one producer (push, finish), one consumer (take_all); close() and is_closed() from either.
// Ownership: moves messages through.
// Invariant: holds at most kMaxQueuedBytes, two batches and one message. Messages change hands in batches and
// each side is woken only when it waits, so that a busy stream costs few wake-ups.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

#include "base/time.h"
#include "pg/client/connection.h"

namespace standfast::clone {

constexpr std::size_t kMaxQueuedBytes = std::size_t{8} << 20U;
constexpr std::size_t kBatchBytes = std::size_t{512} << 10U;

struct StreamItem {
  enum class Kind : std::uint8_t { kBeginCopy, kMessage, kEndCopy };
  Kind kind = Kind::kMessage;
  client::OwnedCopy message = {};
};

class StreamQueue {
 public:
  enum class Push : std::uint8_t { kDone, kFull, kClosed };
  /// kFull if there was no room until the deadline; the item is then still the caller's.
  Push push(StreamItem& item, base::Deadline deadline);
  /// No more will come; the consumer still gets what is there.
  void finish();
  /// Either side gives up: what is queued is dropped, push() says kClosed and take_all() gives nothing.
  void close();
  /// All that is queued, waiting until there is something. Empty: finished or closed.
  std::vector<StreamItem> take_all();
  bool is_closed() const { return closed_.load(std::memory_order_acquire); }

 private:
  void hand_over_batch();

  // The producer's own: a batch in the making.
  std::vector<StreamItem> batch_;
  std::size_t batch_bytes_ = 0;

  std::mutex mutex_;
  std::condition_variable room_;
  std::condition_variable items_there_;
  std::vector<StreamItem> items_;
  std::size_t queued_bytes_ = 0;
  bool producer_waits_ = false;
  bool consumer_waits_ = false;
  bool finished_ = false;
  std::atomic<bool> closed_ = false;
};

}  // namespace standfast::clone
