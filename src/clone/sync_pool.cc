#include "clone/sync_pool.h"

namespace standfast::clone {

using base::Result;

namespace {
constexpr base::Milliseconds kStopCheckInterval(200);
}  // namespace

SyncPool::SyncPool() {
  for (std::size_t i = 0; i < kThreads; ++i) threads_.emplace_back([this] { run(); });
}

SyncPool::~SyncPool() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    waiting_.clear();
    released_ = 0;
    work_there_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
}

Result<void> SyncPool::failure_if_any() const {
  if (failure_) return *failure_;
  return base::ok();
}

Result<void> SyncPool::add(std::unique_ptr<env::File> file) {
  std::unique_lock lock(mutex_);
  work_done_.wait(lock, [this] { return failure_ || waiting_.size() + in_hand_ < kMaxUnsyncedFiles; });
  TRY(failure_if_any());
  waiting_.push_back(std::move(file));
  if (waiting_.size() - released_ >= kBatchFiles) release_all();
  return base::ok();
}

/// With the lock held.
void SyncPool::release_all() {
  released_ = waiting_.size();
  work_there_.notify_all();
}

Result<void> SyncPool::finish(const env::StopEvent& stop) {
  std::unique_lock lock(mutex_);
  release_all();
  while (!failure_ && !(waiting_.empty() && in_hand_ == 0)) {
    if (stop.is_set()) return env::cancelled_error();
    work_done_.wait_for(lock, kStopCheckInterval);
  }
  return failure_if_any();
}

void SyncPool::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_there_.wait(lock, [this] { return closing_ || released_ > 0; });
    if (closing_) return;
    std::unique_ptr<env::File> file = std::move(waiting_.front());
    waiting_.pop_front();
    --released_;
    ++in_hand_;
    lock.unlock();
    Result<void> result = file->sync();
    if (result) result = file->close();
    file.reset();
    lock.lock();
    --in_hand_;
    if (!result && !failure_) failure_ = result.error();
    work_done_.notify_all();
  }
}

}  // namespace standfast::clone
