#include "clone/stream_queue.h"

namespace standfast::clone {

StreamQueue::Push StreamQueue::push(StreamItem& item, base::Deadline deadline) {
  std::unique_lock lock(mutex_);
  producer_waits_ = true;
  const bool proceed =
      room_.wait_until(lock, deadline.when(), [this] { return closed_ || queued_bytes_ < kMaxQueuedBytes; });
  producer_waits_ = false;
  if (closed_) return Push::kClosed;
  if (!proceed) return Push::kFull;
  queued_bytes_ += item.message.size_bytes;
  items_.push_back(std::move(item));
  if (consumer_waits_) items_there_.notify_one();
  return Push::kDone;
}

void StreamQueue::finish() {
  const std::lock_guard lock(mutex_);
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

bool StreamQueue::is_closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

}  // namespace standfast::clone
