#include "witness/flusher.h"

#include <utility>

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"

namespace standfast::witness {

using base::Clock;
using base::Error;
using base::ErrorCode;
using base::Result;

Flusher::Flusher(store::WalStore& store, const Options& options)
    : store_(store), options_(options), fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CHECK(fd_ >= 0);
  thread_ = std::thread([this] { run(); });
}

Flusher::~Flusher() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
  close(fd_);
}

void Flusher::wrote(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (unflushed_bytes_ == 0) oldest_at_ = Clock::now();
  unflushed_bytes_ += bytes;
  if (is_due()) wake_.notify_one();
}

void Flusher::ask() {
  const std::lock_guard lock(mutex_);
  if (unflushed_bytes_ == 0) return;
  asked_ = true;
  wake_.notify_one();
}

void Flusher::flush_now() {
  std::unique_lock lock(mutex_);
  if (unflushed_bytes_ == 0 || failure_) return;
  if (in_flight_bytes_ == 0 && unflushed_bytes_ <= options_.little_bytes) {
    flush(lock);
  } else {
    asked_ = true;
    wake_.notify_one();
  }
}

void Flusher::remind() {
  const std::lock_guard lock(mutex_);
  if (is_due()) wake_.notify_one();
}

Clock::time_point Flusher::due_at() const {
  const std::lock_guard lock(mutex_);
  const bool waits = unflushed_bytes_ > 0 && in_flight_bytes_ == 0;
  return waits ? oldest_at_ + options_.max_delay : Clock::time_point::max();
}

bool Flusher::is_due() const {
  if (unflushed_bytes_ == 0 || in_flight_bytes_ > 0) return false;
  return asked_ || unflushed_bytes_ >= options_.max_unflushed_bytes ||
         Clock::now() >= oldest_at_ + options_.max_delay;
}

void Flusher::run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    if (failure_ || !is_due()) {
      wake_.wait(lock);
    } else {
      flush(lock);
      tell_other_thread();
    }
  }
}

/// While it runs, bytes are in flight, and nobody else flushes.
void Flusher::flush(std::unique_lock<std::mutex>& lock) {
  asked_ = false;
  in_flight_bytes_ = std::exchange(unflushed_bytes_, 0);
  lock.unlock();
  const auto result = store_.flush();
  lock.lock();
  in_flight_bytes_ = 0;
  if (result) {
    news_ = *result;
  } else {
    failure_ = result.error();
  }
}

void Flusher::tell_other_thread() {
  fd_is_readable_ = true;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(fd_, &one, sizeof one);
  flushed_.notify_all();
}

Result<void> Flusher::wait_for_room(const env::Wait& wait) {
  std::unique_lock lock(mutex_);
  while (!failure_ && unflushed_bytes_ + in_flight_bytes_ > 2 * options_.max_unflushed_bytes) {
    if (flushed_.wait_until(lock, wait.deadline.when()) == std::cv_status::timeout) {
      return Error(ErrorCode::kTimeout, "the disk did not take the WAL in time",
                   "See what else it is busy with.");
    }
  }
  return failure_ ? Result<void>(*failure_) : base::ok();
}

Result<store::Positions> Flusher::flush_all(const env::Wait& wait) {
  std::unique_lock lock(mutex_);
  asked_ = unflushed_bytes_ > 0;
  wake_.notify_one();
  while (!failure_ && unflushed_bytes_ + in_flight_bytes_ > 0) {
    if (flushed_.wait_until(lock, wait.deadline.when()) == std::cv_status::timeout) {
      return Error(ErrorCode::kTimeout, "the disk did not take the WAL in time",
                   "See what else it is busy with.");
    }
  }
  if (failure_) return *failure_;
  return store_.positions();
}

Result<std::optional<store::Positions>> Flusher::take_news() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(fd_is_readable_, false)) {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t read_bytes = read(fd_, &count, sizeof count);
  }
  if (failure_) return *failure_;
  return std::exchange(news_, std::nullopt);
}

}  // namespace standfast::witness
