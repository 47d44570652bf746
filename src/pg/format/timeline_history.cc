#include "pg/format/timeline_history.h"

#include <algorithm>

namespace standfast::pg {
namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string_view take_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  const std::size_t end = std::min(line.find_first_of(kBlanks), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

std::optional<TimelineSwitch> parse_line(std::string_view line) {
  const auto parent = TimelineId::parse(take_word(line));
  const auto at = Lsn::parse(take_word(line));
  if (!parent || !at) return std::nullopt;
  return TimelineSwitch{*parent, *at};
}

}  // namespace

std::optional<TimelineHistory> TimelineHistory::parse(TimelineId timeline, std::string_view text) {
  TimelineHistory history;
  history.timeline_ = timeline;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (const auto found = parse_line(text.substr(0, end))) {
      const bool leads_up = history.switches_.empty() || (found->parent > history.switches_.back().parent &&
                                                          found->at >= history.switches_.back().at);
      if (!leads_up || found->parent >= timeline) return std::nullopt;
      history.switches_.push_back(*found);
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return history;
}

bool TimelineHistory::contains(TimelineId timeline) const {
  return timeline == timeline_ || end_of(timeline).has_value();
}

std::optional<Lsn> TimelineHistory::end_of(TimelineId timeline) const {
  for (const TimelineSwitch& each : switches_) {
    if (each.parent == timeline) return each.at;
  }
  return std::nullopt;
}

std::optional<Lsn> TimelineHistory::begin_of(TimelineId timeline) const {
  if (!contains(timeline)) return std::nullopt;
  Lsn begin;
  for (const TimelineSwitch& each : switches_) {
    if (each.parent < timeline) begin = each.at;
  }
  return begin;
}

std::optional<TimelineId> TimelineHistory::after(TimelineId timeline) const {
  if (!end_of(timeline)) return std::nullopt;
  for (const TimelineSwitch& each : switches_) {
    if (each.parent > timeline) return each.parent;
  }
  return timeline_;
}

}  // namespace standfast::pg
