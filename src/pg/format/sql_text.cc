#include "pg/format/sql_text.h"

#include <algorithm>
#include <cstddef>

#include <fmt/format.h>

namespace standfast::pg {
namespace {

/// NAMEDATALEN - 1.
constexpr std::size_t kMaxNameBytes = 63;

std::string doubled(std::string_view text, std::string_view special) {
  CHECK(text.find('\0') == std::string_view::npos);
  std::string out;
  out.reserve(text.size() + 2);
  for (const char c : text) {
    if (special.find(c) != std::string_view::npos) out.push_back(c);
    out.push_back(c);
  }
  return out;
}

}  // namespace

std::string quote_identifier(std::string_view name) {
  return '"' + doubled(name, "\"") + '"';
}

std::string quote_literal(std::string_view value) {
  const bool has_backslash = value.find('\\') != std::string_view::npos;
  return (has_backslash ? "E'" : "'") + doubled(value, "'\\") + '\'';
}

base::Result<std::string> valid_slot_name(std::string_view name) {
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  if (name.empty() || name.size() > kMaxNameBytes || !std::all_of(name.begin(), name.end(), fits)) {
    return base::Error(
        base::ErrorCode::kUsage, "that cannot be the name of a replication slot",
        fmt::format("Use lower-case letters, digits and underscores, at most {} of them.", kMaxNameBytes));
  }
  return std::string(name);
}

}  // namespace standfast::pg
