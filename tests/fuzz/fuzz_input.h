// What the fuzz targets share: their input as text, and pieces of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"

namespace standfast::fuzz {

inline std::string_view as_text(const std::uint8_t* data, std::size_t size) {
  // libFuzzer gives a null pointer for an empty input.
  return size == 0 ? std::string_view("") : std::string_view(reinterpret_cast<const char*>(data), size);
}

/// Takes the text up to the first `separator` from `rest`, or all of it.
inline std::string_view take_until(std::string_view& rest, char separator) {
  const std::size_t at = rest.find(separator);
  const std::string_view piece = rest.substr(0, at);
  rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + 1);
  return piece;
}

}  // namespace standfast::fuzz
