#include "pg/format/lsn.h"

#include <charconv>

#include <fmt/format.h>

namespace standfast::pg {
namespace {

template <typename T>
std::optional<T> parse_whole(std::string_view text, int base) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<Lsn> Lsn::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto high = parse_whole<std::uint32_t>(text.substr(0, slash), 16);
  const auto low = parse_whole<std::uint32_t>(text.substr(slash + 1), 16);
  if (!high || !low) return std::nullopt;
  return Lsn((static_cast<std::uint64_t>(*high) << 32U) | *low);
}

std::string Lsn::to_string() const {
  return fmt::format("{:X}/{:X}", value_ >> 32U, value_ & 0xFFFFFFFFU);
}

std::optional<TimelineId> TimelineId::parse(std::string_view decimal) {
  const auto value = parse_whole<std::uint32_t>(decimal, 10);
  if (!value || *value == 0) return std::nullopt;
  return TimelineId(*value);
}

std::optional<SystemId> SystemId::parse(std::string_view decimal) {
  const auto value = parse_whole<std::uint64_t>(decimal, 10);
  if (!value) return std::nullopt;
  return SystemId(*value);
}

std::string SystemId::to_string() const {
  return fmt::format("{}", value_);
}

}  // namespace standfast::pg
