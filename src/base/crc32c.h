// CRC-32C (Castagnoli), as PostgreSQL uses it for WAL records, pg_control and the backup manifest
// (src/port/pg_crc32c_sse42.c and pg_crc32c_sb8.c): initial value and final xor of all ones.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace standfast::base {

class Crc32c {
 public:
  void update(Bytes bytes);  ///< by the CPU's instruction, where it has one
  /// The same by tables alone, as update() does where there is no instruction.
  void update_portably(Bytes bytes);
  std::uint32_t value() const { return state_ ^ 0xFFFFFFFFU; }

 private:
  std::uint32_t state_ = 0xFFFFFFFFU;
};

/// The CRC of two parts that follow each other, from those of the parts: as many bytes as that of the second.
class Crc32cJoin {
 public:
  explicit Crc32cJoin(std::uint64_t second_bytes);
  std::uint32_t operator()(std::uint32_t first, std::uint32_t second) const;

 private:
  std::uint32_t shift_;  ///< what the zeros of that length do to a CRC, as a polynomial to multiply with
};

}  // namespace standfast::base
