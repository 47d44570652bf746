// A Reporter in front of another one: says after each step how long it took.
//
// Threading: one thread. Ownership: borrows the other one.
#pragma once

#include <optional>
#include <string>

#include "base/reporter.h"
#include "base/time.h"

namespace standfast::setup {

class TimedReporter final : public base::Reporter {
 public:
  explicit TimedReporter(base::Reporter& next) : next_(next) {}

  void step(std::string_view number, std::string_view title) override {
    finish_step();
    next_.step(number, title);
    since_.emplace();
  }
  void info(std::string_view line) override { next_.info(line); }
  void check(std::string_view number, std::string_view line) override { next_.check(number, line); }
  void detail(std::string_view line) override { next_.detail(line); }
  void warn(std::string_view line, std::string_view hint) override { next_.warn(line, hint); }
  void progress(const base::Progress& progress) override { next_.progress(progress); }

  /// The time of the last step, which no other one ends.
  void finish_step() {
    if (since_) next_.info("took " + base::format_duration(since_->elapsed()));
    since_.reset();
  }

 private:
  base::Reporter& next_;
  std::optional<base::Stopwatch> since_;
};

}  // namespace standfast::setup
