// CRC-32C (Castagnoli), as PostgreSQL uses it for WAL records, pg_control and the backup manifest
// (src/port/pg_crc32c_sse42.c and pg_crc32c_sb8.c): initial value and final xor of all ones.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace standfast::base {

class Crc32c {
 public:
  void update(Bytes bytes);
  std::uint32_t value() const { return state_ ^ 0xFFFFFFFFU; }

 private:
  std::uint32_t state_ = 0xFFFFFFFFU;
};

}  // namespace standfast::base
