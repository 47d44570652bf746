// What unit tests of data directories share: files that pass for a server's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/crc32c.h"

namespace standfast::agent::testing {

inline void put_u32(std::string& bytes, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>((value >> (8 * i)) & 0xFFU);
}
inline void seal(std::string& bytes, std::size_t crc_offset) {
  base::Crc32c crc;
  crc.update(base::as_bytes(bytes).first(crc_offset));
  put_u32(bytes, crc_offset, crc.value());
}

/// What of a pg_control of 15 is looked at; `checkpoint` tells one from another.
inline std::string control_file(std::uint32_t checkpoint) {
  std::string bytes(8192, '\0');
  put_u32(bytes, 8, 1300);
  put_u32(bytes, 12, 202209061);
  put_u32(bytes, 32, checkpoint);
  put_u32(bytes, 228, 16U << 20U);
  seal(bytes, 288);
  return bytes;
}

}  // namespace standfast::agent::testing
