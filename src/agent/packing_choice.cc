#include "agent/packing_choice.h"

#include <algorithm>

namespace standfast::agent {
namespace {

constexpr std::uint64_t kMinRangesInWindow = 8;
constexpr std::uint64_t kWindowBytes = std::uint64_t{64} << 20U;
constexpr double kWindowSeconds = 0.5;
/// More than the buffers of a connection hold, both ends counted, or time enough to drain them.
constexpr std::uint64_t kSettlingBytes = std::uint64_t{16} << 20U;
constexpr double kSettlingSeconds = 2;
/// What packs harder has to cost less than this part of what packs less.
constexpr double kMargin = 0.85;
/// A trial that is as far behind as this has shown enough.
constexpr double kHopelessFactor = 2;
constexpr double kOddFactor = 1.25;
constexpr int kOddWindows = 2;
// In windows of what is chosen.
constexpr int kMinInterval = 4;
constexpr int kMaxRoundInterval = 128;
constexpr int kMaxChangeInterval = 1024;

int doubled(int interval, int most) {
  return std::clamp(2 * interval, kMinInterval, most);
}

/// What of the cost of `from` the cost of `to` may be at most.
double needed_part(Compression from, Compression to) {
  return to > from ? kMargin : 1.0;
}

}  // namespace

void PackingChoice::Window::add(const RangeCost& range) {
  ++ranges;
  plain_bytes += range.plain_bytes;
  client_waited_seconds += range.client_waited_seconds;
  agent_waited_seconds += range.agent_waited_seconds;
  cpu_seconds += range.cpu_seconds;
}

double PackingChoice::Window::cost() const {
  const double link_seconds = std::min(client_waited_seconds, agent_waited_seconds);
  return (link_seconds + cpu_seconds) / static_cast<double>(plain_bytes);
}

bool PackingChoice::Window::is_settled() const {
  return plain_bytes >= kSettlingBytes || seconds() >= kSettlingSeconds;
}

bool PackingChoice::Window::is_full() const {
  return ranges >= kMinRangesInWindow && (plain_bytes >= kWindowBytes || seconds() >= kWindowSeconds);
}

bool PackingChoice::Window::is_hopeless(double beside_cost) const {
  return ranges >= kMinRangesInWindow && cost() > kHopelessFactor * beside_cost;
}

void PackingChoice::measured(const RangeCost& range) {
  if (range.asked != next() || range.plain_bytes == 0) return;
  if (!is_settled_) {
    settling_.add(range);
    is_settled_ = settling_.is_settled();
    return;
  }
  window_.add(range);
  if (window_.is_full() || (trial_ && window_.is_hopeless(known(chosen_).cost))) end_window();
}

void PackingChoice::end_window() {
  const double cost = window_.cost();
  Known& one = known(next());
  one.cpu = window_.cpu_seconds / static_cast<double>(window_.plain_bytes);
  window_ = {};
  if (trial_) {
    one.cost = cost;
    try_from(static_cast<std::size_t>(*trial_) + 1);
    return;
  }
  one.cost = one.cost > 0 ? (one.cost + cost) / 2 : cost;
  follow_cost(cost);
  windows_to_change_ = std::max(windows_to_change_ - 1, 0);
  windows_to_round_ = std::max(windows_to_round_ - 1, 0);
  if (windows_to_round_ == 0 && windows_to_change_ == 0) try_from(0);
}

void PackingChoice::follow_cost(double window_cost) {
  const bool is_odd = window_cost > judged_cost_ * kOddFactor || window_cost < judged_cost_ / kOddFactor;
  odd_windows_ = is_odd ? odd_windows_ + 1 : 0;
  if (odd_windows_ < kOddWindows) return;
  odd_windows_ = 0;
  known(chosen_).cost = window_cost;
  round_interval_ = 0;
  windows_to_round_ = 0;
}

bool PackingChoice::is_worth_a_trial(Compression which) const {
  if (which == chosen_) return false;
  // Were the link without end, it would still take this; now and then that is measured anew as well.
  return known(which).cpu < known(chosen_).cost * needed_part(chosen_, which) ||
         round_interval_ == kMaxRoundInterval;
}

void PackingChoice::try_from(std::size_t first) {
  for (std::size_t i = first; i < kCount; ++i) {
    const auto which = static_cast<Compression>(i);
    if (!is_worth_a_trial(which)) continue;
    trial_ = which;
    begin_window();
    return;
  }
  end_round();
}

void PackingChoice::end_round() {
  // One that was not tried now is no winner: its CPU alone costs too much.
  Compression best = chosen_;
  for (std::size_t i = 0; i < kCount; ++i) {
    const auto which = static_cast<Compression>(i);
    const double cost = known(which).cost;
    if (cost <= known(chosen_).cost * needed_part(chosen_, which) && cost < known(best).cost) best = which;
  }
  const Compression before = next();
  trial_.reset();
  round_interval_ = doubled(round_interval_, kMaxRoundInterval);
  if (best != chosen_) {
    chosen_ = best;
    ++changes_;
    round_interval_ = kMinInterval;
    change_interval_ = doubled(change_interval_, kMaxChangeInterval);
    windows_to_change_ = change_interval_;
  }
  windows_to_round_ = round_interval_;
  judged_cost_ = known(chosen_).cost;
  odd_windows_ = 0;
  if (next() != before) begin_window();
}

void PackingChoice::begin_window() {
  window_ = {};
  settling_ = {};
  is_settled_ = false;
}

}  // namespace standfast::agent
