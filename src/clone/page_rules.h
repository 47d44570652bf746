// How the pages of a copy are judged.
#pragma once

#include <cstdint>
#include <string>

#include "pg/format/lsn.h"

namespace standfast::clone {

/// Of a source that has page checksums.
struct PageRules {
  std::uint32_t block_bytes = 8192;
  std::uint32_t segment_blocks = 131072;  ///< of pg_control
  pg::Lsn backup_start;
};

struct DamagedPage {
  std::string path;         ///< as the manifest names the file
  std::uint32_t block = 0;  ///< counted from the start of the relation's fork
  std::uint64_t offset = 0;
  pg::Lsn lsn;  ///< as the page's header has it
};
enum class DamagedPages : std::uint8_t { kRefused, kAllowed };

}  // namespace standfast::clone
