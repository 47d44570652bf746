#include "pg/format/versions.h"

#include <cctype>

#include <fmt/format.h>

namespace standfast::pg {
namespace {

bool is_digit(char c) {
  return std::isdigit(static_cast<unsigned char>(c)) != 0;
}

}  // namespace

std::optional<Version> Version::parse(std::string_view text) {
  if (const auto prefix = text.find(") "); prefix != std::string_view::npos && !is_digit(text.front())) {
    text.remove_prefix(prefix + 2);
  }
  int numbers[2] = {0, 0};
  std::size_t at = 0;
  for (int part = 0; part < 2; ++part) {
    if (at >= text.size() || !is_digit(text[at]))
      return part == 0 ? std::nullopt : std::optional(Version(numbers[0] * 10000));
    while (at < text.size() && is_digit(text[at]) && numbers[part] < 10000) {
      numbers[part] = numbers[part] * 10 + (text[at++] - '0');
    }
    if (numbers[part] >= 10000) return std::nullopt;
    if (at < text.size() && text[at] == '.') ++at;
  }
  return Version(numbers[0] * 10000 + numbers[1]);
}

std::string Version::to_string() const {
  return minor() == 0 ? fmt::format("{}", major()) : fmt::format("{}.{}", major(), minor());
}

}  // namespace standfast::pg
