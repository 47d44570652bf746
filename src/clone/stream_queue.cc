#include "clone/stream_queue.h"

#include <algorithm>
#include <iterator>

namespace standfast::clone {

StreamQueue::Push StreamQueue::push(StreamItem& item, base::Deadline deadline) {
  if (is_closed()) return Push::kClosed;
  if (batch_bytes_ >= kBatchBytes) {
    std::unique_lock lock(mutex_);
    producer_waits_ = true;
    const bool has_room = room_.wait_until(lock, deadline.when(),
                                           [this] { return closed_ || queued_bytes_ < kMaxQueuedBytes; });
    producer_waits_ = false;
    if (closed_) return Push::kClosed;
    if (!has_room) return Push::kFull;
    hand_over_batch();
  }
  batch_bytes_ += item.message.size_bytes;
  batch_.push_back(std::move(item));
  return Push::kDone;
}

/// With the lock held.
void StreamQueue::hand_over_batch() {
  if (items_.empty()) {
    std::swap(items_, batch_);
  } else {
    std::ranges::move(batch_, std::back_inserter(items_));
  }
  batch_.clear();
  queued_bytes_ += std::exchange(batch_bytes_, 0);
  if (consumer_waits_) items_there_.notify_one();
}

void StreamQueue::finish() {
  const std::lock_guard lock(mutex_);
  if (!closed_) hand_over_batch();
  finished_ = true;
  items_there_.notify_one();
}

void StreamQueue::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  items_.clear();
  queued_bytes_ = 0;
  items_there_.notify_one();
  room_.notify_one();
}

std::vector<StreamItem> StreamQueue::take_all() {
  std::unique_lock lock(mutex_);
  consumer_waits_ = true;
  items_there_.wait(lock, [this] { return closed_ || finished_ || !items_.empty(); });
  consumer_waits_ = false;
  std::vector<StreamItem> taken = std::move(items_);
  items_.clear();
  queued_bytes_ = 0;
  if (producer_waits_) room_.notify_one();
  return taken;
}

}  // namespace standfast::clone
