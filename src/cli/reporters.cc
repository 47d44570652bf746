#include "cli/reporters.h"

#include <algorithm>
#include <cstddef>

#include <fmt/format.h>

#include "cli/table.h"

namespace standfast::cli {
namespace {

using base::Clock;

constexpr auto kRedrawInterval = std::chrono::milliseconds(200);
constexpr auto kLogInterval = std::chrono::seconds(10);
constexpr auto kRateInterval = std::chrono::milliseconds(500);
constexpr double kRateSmoothing = 0.25;  // the weight of the newest measurement

constexpr std::string_view kBold = "\x1b[1m";
constexpr std::string_view kYellow = "\x1b[33m";
constexpr std::string_view kPlain = "\x1b[0m";
constexpr std::string_view kIndent = "      ";  // as wide as "[1.3] "

std::string in_style(bool coloured, std::string_view style, std::string_view text) {
  return coloured ? fmt::format("{}{}{}", style, text, kPlain) : std::string(text);
}

double seconds_of(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

/// Whole seconds, at least one: what is left is a guess.
std::string time_left(double seconds) {
  const auto whole = std::max(1L, static_cast<long>(seconds + 0.5));
  return whole < 60 ? fmt::format("{} s", whole) : base::format_duration(std::chrono::seconds(whole));
}

/// As much of the text as fits; `text` is printable.
std::string cut_to(std::string text, int columns) {
  while (!text.empty() && display_width(text) > columns) {
    do {
      text.pop_back();
    } while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xC0U) == 0x80U);
  }
  return text;
}

}  // namespace

void TerminalReporter::out_line(std::string_view line) {
  clear_progress();
  screen_.out(fmt::format("{}\n", line));
}

void TerminalReporter::step(std::string_view number, std::string_view title) {
  last_shown_.reset();
  last_measured_.reset();
  bytes_per_second_ = 0;
  const std::string label = number.empty() ? std::string() : fmt::format("[{}] ", number);
  out_line(in_style(screen_.out_in_colour, kBold, label + printable(title)));
}

void TerminalReporter::check(std::string_view number, std::string_view line) {
  info(number.empty() ? std::string(line) : fmt::format("[{}] {}", number, line));
}

void TerminalReporter::info(std::string_view line) {
  out_line(fmt::format("{}{}", kIndent, printable(line)));
}

void TerminalReporter::detail(std::string_view line) {
  if (screen_.verbose) out_line(fmt::format("{}{}", kIndent, printable(line)));
}

void TerminalReporter::warn(std::string_view line, std::string_view hint) {
  clear_progress();
  std::string text =
      fmt::format("{} {}\n", in_style(screen_.err_in_colour, kYellow, "warning:"), printable(line));
  if (!hint.empty()) text += fmt::format("hint: {}\n", printable(hint));
  screen_.err(text);
}

void TerminalReporter::progress(const base::Progress& progress) {
  const Clock::time_point now = screen_.now();
  note_rate(progress, now);
  const Clock::duration interval = screen_.err_is_terminal ? Clock::duration(kRedrawInterval) : kLogInterval;
  // In a log the first line comes after one interval: short work then leaves none.
  if (!last_shown_ && !screen_.err_is_terminal) last_shown_ = now;
  if (last_shown_ && now - *last_shown_ < interval) return;
  last_shown_ = now;
  std::string line = printable(progress_line(progress));
  if (!screen_.err_is_terminal) {
    screen_.err(line + "\n");
    return;
  }
  line = cut_to(std::move(line), std::max(1, screen_.err_width_columns() - 1));
  const int columns = display_width(line);
  const std::string blanks(static_cast<std::size_t>(std::max(0, shown_columns_ - columns)), ' ');
  screen_.err(fmt::format("\r{}{}", line, blanks));
  shown_columns_ = columns;
}

void TerminalReporter::clear_progress() {
  if (shown_columns_ == 0) return;
  screen_.err(fmt::format("\r{}\r", std::string(static_cast<std::size_t>(shown_columns_), ' ')));
  shown_columns_ = 0;
}

void TerminalReporter::note_rate(const base::Progress& progress, Clock::time_point now) {
  if (!last_measured_ || progress.done_bytes < last_measured_bytes_) {
    last_measured_ = now;
    last_measured_bytes_ = progress.done_bytes;
    return;
  }
  const Clock::duration elapsed = now - *last_measured_;
  if (elapsed < kRateInterval) return;
  const double rate = static_cast<double>(progress.done_bytes - last_measured_bytes_) / seconds_of(elapsed);
  bytes_per_second_ =
      bytes_per_second_ <= 0 ? rate : bytes_per_second_ + kRateSmoothing * (rate - bytes_per_second_);
  last_measured_ = now;
  last_measured_bytes_ = progress.done_bytes;
}

std::string TerminalReporter::progress_line(const base::Progress& progress) const {
  std::string line{kIndent};
  line += base::format_bytes(progress.done_bytes);
  const bool total_known = progress.total_bytes.has_value() && *progress.total_bytes > 0;
  if (total_known) {
    // The total is an estimate: what goes past it is not more than all.
    const double share =
        std::min(1.0, static_cast<double>(progress.done_bytes) / static_cast<double>(*progress.total_bytes));
    line +=
        fmt::format(" of {} ({}%)", base::format_bytes(std::max(*progress.total_bytes, progress.done_bytes)),
                    static_cast<int>(share * 100));
  }
  if (bytes_per_second_ >= 1) {
    line += fmt::format(", {}/s", base::format_bytes(static_cast<std::uint64_t>(bytes_per_second_)));
    if (total_known && *progress.total_bytes > progress.done_bytes) {
      const double left =
          static_cast<double>(*progress.total_bytes - progress.done_bytes) / bytes_per_second_;
      constexpr double kLongestSeconds = 100.0 * 3600;  // beyond it a figure says nothing
      if (left < kLongestSeconds) line += fmt::format(", {} left", time_left(left));
    }
  }
  if (!progress.activity.empty()) line += fmt::format("  {}", progress.activity);
  return line;
}

void JsonReporter::step(std::string_view number, std::string_view title) {
  nlohmann::ordered_json entry;
  if (!number.empty()) entry["number"] = number;
  entry["title"] = title;
  steps_.push_back(std::move(entry));
  if (also_ != nullptr) also_->step(number, title);
}

void JsonReporter::check(std::string_view number, std::string_view line) {
  nlohmann::ordered_json entry;
  if (!number.empty()) entry["number"] = number;
  entry["title"] = line;
  steps_.push_back(std::move(entry));
  if (also_ != nullptr) also_->check(number, line);
}

void JsonReporter::info(std::string_view line) {
  if (steps_.empty()) steps_.push_back({{"title", ""}});
  steps_.back()["lines"].push_back(line);
  if (also_ != nullptr) also_->info(line);
}

void JsonReporter::detail(std::string_view line) {
  if (also_ != nullptr) also_->detail(line);
}

void JsonReporter::warn(std::string_view line, std::string_view hint) {
  nlohmann::ordered_json entry = {{"message", line}};
  if (!hint.empty()) entry["hint"] = hint;
  warnings_.push_back(std::move(entry));
  if (also_ != nullptr) also_->warn(line, hint);
}

void JsonReporter::progress(const base::Progress& progress) {
  if (also_ != nullptr) also_->progress(progress);
}

void JsonReporter::add_to(nlohmann::ordered_json& object) const {
  if (!steps_.empty()) object["steps"] = steps_;
  if (!warnings_.empty()) object["warnings"] = warnings_;
}

}  // namespace standfast::cli
