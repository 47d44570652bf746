// A data page and its checksum (storage/bufpage.h PageHeaderData, storage/checksum_impl.h; the same in 12 to
// 18), judged as a base backup judges it (basebackup.c verify_page_checksum()).
//
// Numbers on a page are in the byte order of the server that wrote it. It is ours, as files of a server with
// another one are of no use to ours.
//
// Threading: pure functions on values. The checksum depends neither on the machine nor on how the bytes are
// aligned. Invariants (CHECK): a page is as long as a block may be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "pg/format/lsn.h"

namespace standfast::pg {

inline constexpr std::size_t kMinBlockBytes = 1024;
inline constexpr std::size_t kMaxBlockBytes = 32768;

/// A power of two from 1 to 32 KiB (BLCKSZ).
bool is_valid_block_size(std::uint64_t block_bytes);

struct PageHeader {
  Lsn lsn;  ///< behind the record that changed the page last
  std::uint16_t checksum = 0;
  std::uint16_t upper = 0;  ///< where free space ends
  /// It was never filled, and has no checksum (PageIsNew()).
  bool is_new() const { return upper == 0; }
};
PageHeader page_header(base::Bytes page);

/// What the page's header should have. `block_number` counts from the start of the relation, not of the file.
std::uint16_t page_checksum(base::Bytes page, std::uint32_t block_number);
/// The same without the instructions that not every machine has.
std::uint16_t page_checksum_portably(base::Bytes page, std::uint32_t block_number);

enum class PageState : std::uint8_t {
  kGood,
  kNew,
  kNewerThanBackup,  ///< may be torn; WAL that the backup needs has the page whole, so it is not judged
  kBad,              ///< torn just now, or damaged: read anew it tells which
};
PageState check_page(base::Bytes page, std::uint32_t block_number, Lsn backup_start);

/// Pages that follow each other in a relation.
struct PageRun {
  base::Bytes bytes;
  std::uint32_t first_block_number = 0;
  std::size_t block_bytes = 8192;
};
/// Which pages are bad, counted from 0 within the run. A last part that is not a whole page is not judged.
std::vector<std::size_t> bad_pages(const PageRun& run, Lsn backup_start);

}  // namespace standfast::pg
