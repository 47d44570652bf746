// A Reporter for several threads: one speaks at a time.
//
// Threading: any. Ownership: borrows the one that it speaks through.
#pragma once

#include <mutex>

#include "base/reporter.h"

namespace standfast::witness {

class LockedReporter final : public base::Reporter {
 public:
  explicit LockedReporter(base::Reporter& reporter) : reporter_(reporter) {}

  void step(std::string_view number, std::string_view title) override {
    const std::lock_guard lock(mutex_);
    reporter_.step(number, title);
  }
  void info(std::string_view line) override {
    const std::lock_guard lock(mutex_);
    reporter_.info(line);
  }
  void check(std::string_view number, std::string_view line) override {
    const std::lock_guard lock(mutex_);
    reporter_.check(number, line);
  }
  void detail(std::string_view line) override {
    const std::lock_guard lock(mutex_);
    reporter_.detail(line);
  }
  void warn(std::string_view line, std::string_view hint) override {
    const std::lock_guard lock(mutex_);
    reporter_.warn(line, hint);
  }
  void progress(const base::Progress& progress) override {
    const std::lock_guard lock(mutex_);
    reporter_.progress(progress);
  }

 private:
  std::mutex mutex_;
  base::Reporter& reporter_;
};

}  // namespace standfast::witness
