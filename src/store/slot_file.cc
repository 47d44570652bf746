#include "store/slot_file.h"

#include <charconv>

#include <fmt/format.h>

namespace standfast::store {
namespace {

constexpr std::string_view kFirstLine = "standfast slot 2\n";
constexpr std::string_view kFirstLineBefore = "standfast slot 1\n";
constexpr std::string_view kRestart = "restart ";
constexpr std::string_view kFlushed = "flushed ";
constexpr std::string_view kTimeline = "timeline ";
constexpr std::string_view kXmin = "xmin ";
constexpr std::string_view kCatalogXmin = "catalog_xmin ";
constexpr std::string_view kState = "state ";

bool take(std::string_view& rest, std::string_view expected) {
  if (!rest.starts_with(expected)) return false;
  rest.remove_prefix(expected.size());
  return true;
}

std::optional<std::string_view> take_line(std::string_view& rest, std::string_view name) {
  if (!take(rest, name)) return std::nullopt;
  const std::size_t end = rest.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view value = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return value;
}

bool take_position(std::string_view& rest, std::string_view name, pg::Lsn& into) {
  const auto line = take_line(rest, name);
  const auto position = line ? pg::Lsn::parse(*line) : std::nullopt;
  if (position) into = *position;
  return position.has_value();
}

template <typename Number>
bool take_number(std::string_view& rest, std::string_view name, Number& into) {
  const auto line = take_line(rest, name);
  if (!line) return false;
  const auto [end, error] = std::from_chars(line->data(), line->data() + line->size(), into);
  return error == std::errc() && end == line->data() + line->size();
}

/// What the lines between restart and state say.
bool take_reported(std::string_view& rest, SlotState& slot) {
  std::uint32_t timeline = 0;
  if (!take_position(rest, kFlushed, slot.flushed) || !take_number(rest, kTimeline, timeline)) return false;
  slot.timeline = pg::TimelineId(timeline);
  return take_number(rest, kXmin, slot.xmin) && take_number(rest, kCatalogXmin, slot.catalog_xmin);
}

}  // namespace

std::string encode_slot(const SlotState& slot) {
  return fmt::format("{}{}{}\n{}{}\n{}{}\n{}{}\n{}{}\n{}{}\n", kFirstLine, kRestart, slot.restart.to_string(),
                     kFlushed, slot.flushed.to_string(), kTimeline, slot.timeline.value(), kXmin, slot.xmin,
                     kCatalogXmin, slot.catalog_xmin, kState, slot.is_lost ? "lost" : "kept");
}

std::optional<SlotState> parse_slot(std::string_view text) {
  const bool is_of_before = take(text, kFirstLineBefore);
  if (!is_of_before && !take(text, kFirstLine)) return std::nullopt;
  SlotState slot;
  if (!take_position(text, kRestart, slot.restart)) return std::nullopt;
  if (!is_of_before && !take_reported(text, slot)) return std::nullopt;
  const auto state = take_line(text, kState);
  if (!state || !text.empty() || (*state != "lost" && *state != "kept")) return std::nullopt;
  slot.is_lost = *state == "lost";
  return slot;
}

}  // namespace standfast::store
