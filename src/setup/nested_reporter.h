// A Reporter for a workflow inside a step of another one: its steps become lines of that step, and its lines
// are indented below them.
//
// Threading: one thread. Ownership: borrows the other one.
#pragma once

#include <string>

#include <fmt/format.h>

#include "base/reporter.h"

namespace standfast::setup {

class NestedReporter final : public base::Reporter {
 public:
  explicit NestedReporter(base::Reporter& outer) : outer_(outer) {}

  void step(std::string_view number, std::string_view title) override { outer_.info(line_of(number, title)); }
  void info(std::string_view line) override { outer_.info(fmt::format("    {}", line)); }
  void check(std::string_view number, std::string_view line) override { info(line_of(number, line)); }
  void detail(std::string_view line) override { outer_.detail(fmt::format("    {}", line)); }
  void warn(std::string_view line, std::string_view hint) override { outer_.warn(line, hint); }
  void progress(const base::Progress& progress) override { outer_.progress(progress); }

 private:
  static std::string line_of(std::string_view number, std::string_view text) {
    return number.empty() ? std::string(text) : fmt::format("[{}] {}", number, text);
  }

  base::Reporter& outer_;
};

}  // namespace standfast::setup
