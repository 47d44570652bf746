#include "pg/format/utf8.h"

#include <cstddef>
#include <cstdint>

namespace standfast::pg {
namespace {

/// How many bytes follow this first one; none for a byte that can begin no character.
int following_bytes(unsigned char first) {
  if (first < 0x80) return 0;
  if (first >= 0xC2 && first <= 0xDF) return 1;
  if (first >= 0xE0 && first <= 0xEF) return 2;
  if (first >= 0xF0 && first <= 0xF4) return 3;
  return -1;
}

/// The second byte has a smaller range after these, so that no character has two forms.
bool second_fits(unsigned char first, unsigned char second) {
  switch (first) {
    case 0xE0:
      return second >= 0xA0;
    case 0xED:
      return second <= 0x9F;
    case 0xF0:
      return second >= 0x90;
    case 0xF4:
      return second <= 0x8F;
    default:
      return true;
  }
}

}  // namespace

bool is_utf8(std::string_view bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const auto first = static_cast<unsigned char>(bytes[at]);
    const int following = following_bytes(first);
    if (following < 0 || bytes.size() - at <= static_cast<std::size_t>(following)) return false;
    for (int i = 1; i <= following; ++i) {
      const auto next = static_cast<unsigned char>(bytes[at + static_cast<std::size_t>(i)]);
      if ((next & 0xC0U) != 0x80U || (i == 1 && !second_fits(first, next))) return false;
    }
    at += static_cast<std::size_t>(following) + 1;
  }
  return true;
}

}  // namespace standfast::pg
