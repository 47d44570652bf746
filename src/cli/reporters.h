// How the steps of a workflow look: lines for a person, or a part of the json object.
//
// Threading: one thread. Ownership: borrow their sinks' targets.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/reporter.h"
#include "base/time.h"

namespace standfast::cli {

struct Screen {
  std::function<void(std::string_view)> out;  ///< standard output
  std::function<void(std::string_view)> err;  ///< standard error
  bool err_is_terminal = false;               ///< the progress line is redrawn; else a line now and then
  bool out_in_colour = false;
  bool err_in_colour = false;
  std::function<int()> err_width_columns = [] { return 80; };
  std::function<base::Clock::time_point()> now = [] { return base::Clock::now(); };
  bool verbose = false;
};

/// Steps and what came of them on standard output; warnings and progress on standard error.
class TerminalReporter final : public base::Reporter {
 public:
  explicit TerminalReporter(Screen screen) : screen_(std::move(screen)) {}
  ~TerminalReporter() override { clear_progress(); }
  TerminalReporter(const TerminalReporter&) = delete;
  TerminalReporter& operator=(const TerminalReporter&) = delete;

  void step(std::string_view number, std::string_view title) override;
  void info(std::string_view line) override;
  void check(std::string_view number, std::string_view line) override;
  void detail(std::string_view line) override;
  void warn(std::string_view line, std::string_view hint) override;
  void progress(const base::Progress& progress) override;
  /// Before anyone else writes to the terminal.
  void clear_progress();

 private:
  void out_line(std::string_view line);
  void note_rate(const base::Progress& progress, base::Clock::time_point now);
  std::string progress_line(const base::Progress& progress) const;

  Screen screen_;
  int shown_columns_ = 0;  ///< of the progress line that stands on the terminal
  std::optional<base::Clock::time_point> last_shown_;
  std::optional<base::Clock::time_point> last_measured_;
  std::uint64_t last_measured_bytes_ = 0;
  double bytes_per_second_ = 0;
};

/// Keeps the steps and warnings for the json object; with `also`, says them there as well.
class JsonReporter final : public base::Reporter {
 public:
  explicit JsonReporter(base::Reporter* also) : also_(also) {}
  void step(std::string_view number, std::string_view title) override;
  void info(std::string_view line) override;
  void check(std::string_view number, std::string_view line) override;
  void detail(std::string_view line) override;
  void warn(std::string_view line, std::string_view hint) override;
  void progress(const base::Progress& progress) override;

  /// Adds "steps" and "warnings" to the object, those that there are.
  void add_to(nlohmann::ordered_json& object) const;

 private:
  base::Reporter* also_;
  nlohmann::ordered_json steps_ = nlohmann::ordered_json::array();
  nlohmann::ordered_json warnings_ = nlohmann::ordered_json::array();
};

}  // namespace standfast::cli
