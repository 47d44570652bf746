#include "pg/format/lsn.h"

#include <fmt/format.h>

#include "base/number.h"

namespace standfast::pg {

std::optional<Lsn> Lsn::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto high = base::parse_number<std::uint32_t>(text.substr(0, slash), 16);
  const auto low = base::parse_number<std::uint32_t>(text.substr(slash + 1), 16);
  if (!high || !low) return std::nullopt;
  return Lsn((static_cast<std::uint64_t>(*high) << 32U) | *low);
}

std::string Lsn::to_string() const {
  return fmt::format("{:X}/{:X}", value_ >> 32U, value_ & 0xFFFFFFFFU);
}

std::optional<TimelineId> TimelineId::parse(std::string_view decimal) {
  const auto value = base::parse_number<std::uint32_t>(decimal, 10);
  if (!value || *value == 0) return std::nullopt;
  return TimelineId(*value);
}

std::optional<SystemId> SystemId::parse(std::string_view decimal) {
  const auto value = base::parse_number<std::uint64_t>(decimal, 10);
  if (!value) return std::nullopt;
  return SystemId(*value);
}

std::string SystemId::to_string() const {
  return fmt::format("{}", value_);
}

}  // namespace standfast::pg
