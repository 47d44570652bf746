// Where a workflow says what it does. The cli decides how it looks (plain lines, a redrawn progress line,
// json); workflows only say it. A Reporter never gets a secret.
//
// Threading: called from one thread, that of the workflow. Ownership: borrowed by the workflow.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace standfast::base {

struct Progress {
  std::uint64_t done_bytes = 0;
  std::optional<std::uint64_t> total_bytes;  ///< an estimate; done may pass it
  std::string_view activity;                 ///< "base backup", "tablespace 16385", the current file with -v
};

class Reporter {
 public:
  virtual ~Reporter() = default;
  /// The beginning of a step, as the user thinks of it: "1.3 pg_hba.conf: a line for 10.20.20.2/32". `number`
  /// is the seed's ("1.3"), or empty.
  virtual void step(std::string_view number, std::string_view title) = 0;
  /// What came of the step, or a fact worth a line: one lower-case line.
  virtual void info(std::string_view line) = 0;
  /// One check that was just made, with the seed's number and what was seen; it begins no step.
  virtual void check(std::string_view number, std::string_view line) = 0;
  /// Shown only with -v.
  virtual void detail(std::string_view line) = 0;
  virtual void warn(std::string_view line, std::string_view hint) = 0;
  /// Called as often as the workflow likes; the receiver thins it out.
  virtual void progress(const Progress& progress) = 0;
};

/// Says nothing. For tests and for steps inside steps.
class NullReporter final : public Reporter {
 public:
  void step(std::string_view, std::string_view) override {}
  void info(std::string_view) override {}
  void check(std::string_view, std::string_view) override {}
  void detail(std::string_view) override {}
  void warn(std::string_view, std::string_view) override {}
  void progress(const Progress&) override {}
};

}  // namespace standfast::base
