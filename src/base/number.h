// Numbers that are written as text.
//
// Pure. No value where the text is anything but the number: empty, with a sign that the type has not, with a
// space, with more behind it, or too large.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace standfast::base {

template <typename Number>
std::optional<Number> parse_number(std::string_view text, int base = 10) {
  Number number{};
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number, base);
  return error == std::errc() && end == last ? std::optional(number) : std::nullopt;
}

}  // namespace standfast::base
