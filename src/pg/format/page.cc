#include "pg/format/page.h"

#include <array>
#include <cstring>

#include "base/check.h"

namespace standfast::pg {
namespace {

constexpr std::size_t kLsnOffset = 0;  // two words of 32 bits, the higher one first in either byte order
constexpr std::size_t kChecksumOffset = 8;
constexpr std::size_t kUpperOffset = 14;

template <typename Number>
Number number_at(base::Bytes page, std::size_t offset) {
  Number number = 0;
  std::memcpy(&number, page.data() + offset, sizeof number);
  return number;
}

// The page is a table of 32 columns, each with a sum of its own, so that they are computed side by side.
constexpr std::size_t kColumns = 32;
constexpr std::size_t kRowBytes = kColumns * sizeof(std::uint32_t);
constexpr std::uint32_t kPrime = 16777619;  // FNV-1a's
constexpr unsigned kShift = 17;
constexpr std::array<std::uint32_t, kColumns> kFirstSums = {
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756};

using Lanes = std::uint32_t __attribute__((vector_size(32)));
constexpr std::size_t kLanes = sizeof(Lanes) / sizeof(std::uint32_t);

// What follows becomes part of its callers, each of which is compiled for other instructions.
#define STANDFAST_PART_OF_CALLER __attribute__((always_inline)) inline

STANDFAST_PART_OF_CALLER void add_lanes(Lanes& sums, const void* from) {
  Lanes mixed;
  std::memcpy(&mixed, from, sizeof mixed);
  mixed ^= sums;
  sums = (mixed * kPrime) ^ (mixed >> kShift);
}

/// Four variables rather than an array: they stay in registers from one row to the next.
struct Sums {
  Lanes first, second, third, fourth;
};

STANDFAST_PART_OF_CALLER void add_row(Sums& sums, const std::byte* row) {
  add_lanes(sums.first, row);
  add_lanes(sums.second, row + sizeof(Lanes));
  add_lanes(sums.third, row + 2 * sizeof(Lanes));
  add_lanes(sums.fourth, row + 3 * sizeof(Lanes));
}

STANDFAST_PART_OF_CALLER std::uint32_t sum_of_page(base::Bytes page) {
  static_assert(sizeof(Sums) == sizeof kFirstSums && sizeof(Sums) == kRowBytes);
  Sums sums;
  std::memcpy(&sums, kFirstSums.data(), sizeof sums);

  std::array<std::byte, kRowBytes> row;
  std::memcpy(row.data(), page.data(), row.size());
  std::memset(row.data() + kChecksumOffset, 0, sizeof(std::uint16_t));  // counts as zero
  add_row(sums, row.data());
  for (std::size_t at = kRowBytes; at < page.size(); at += kRowBytes) add_row(sums, page.data() + at);
  row.fill(std::byte{0});
  add_row(sums, row.data());
  add_row(sums, row.data());

  const Lanes folded = sums.first ^ sums.second ^ sums.third ^ sums.fourth;
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < kLanes; ++i) sum ^= folded[i];
  return sum;
}

#undef STANDFAST_PART_OF_CALLER

std::uint32_t sum_portably(base::Bytes page) {
  return sum_of_page(page);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) std::uint32_t sum_by_avx2(base::Bytes page) {
  return sum_of_page(page);
}
const bool kHaveAvx2 = __builtin_cpu_supports("avx2") != 0;
std::uint32_t sum_fast(base::Bytes page) {
  return kHaveAvx2 ? sum_by_avx2(page) : sum_portably(page);
}
#else
std::uint32_t sum_fast(base::Bytes page) {
  return sum_portably(page);
}
#endif

/// Never 0, so that a checksum that was not written is not taken for one.
std::uint16_t checksum_of(std::uint32_t sum, std::uint32_t block_number) {
  return static_cast<std::uint16_t>((sum ^ block_number) % 65535 + 1);
}

}  // namespace

bool is_valid_block_size(std::uint64_t block_bytes) {
  return block_bytes >= kMinBlockBytes && block_bytes <= kMaxBlockBytes &&
         (block_bytes & (block_bytes - 1)) == 0;
}

PageHeader page_header(base::Bytes page) {
  CHECK(is_valid_block_size(page.size()));
  const std::uint64_t high = number_at<std::uint32_t>(page, kLsnOffset);
  const std::uint64_t low = number_at<std::uint32_t>(page, kLsnOffset + sizeof(std::uint32_t));
  return {.lsn = Lsn(high << 32U | low),
          .checksum = number_at<std::uint16_t>(page, kChecksumOffset),
          .upper = number_at<std::uint16_t>(page, kUpperOffset)};
}

std::uint16_t page_checksum(base::Bytes page, std::uint32_t block_number) {
  CHECK(is_valid_block_size(page.size()));
  return checksum_of(sum_fast(page), block_number);
}

std::uint16_t page_checksum_portably(base::Bytes page, std::uint32_t block_number) {
  CHECK(is_valid_block_size(page.size()));
  return checksum_of(sum_portably(page), block_number);
}

PageState check_page(base::Bytes page, std::uint32_t block_number, Lsn backup_start) {
  const PageHeader header = page_header(page);
  if (header.is_new()) return PageState::kNew;
  if (header.lsn >= backup_start) return PageState::kNewerThanBackup;
  return page_checksum(page, block_number) == header.checksum ? PageState::kGood : PageState::kBad;
}

std::vector<std::size_t> bad_pages(const PageRun& run, Lsn backup_start) {
  CHECK(is_valid_block_size(run.block_bytes));
  std::vector<std::size_t> bad;
  std::uint32_t block_number = run.first_block_number;
  for (std::size_t i = 0; i < run.bytes.size() / run.block_bytes; ++i, ++block_number) {
    const base::Bytes page = run.bytes.subspan(i * run.block_bytes, run.block_bytes);
    if (check_page(page, block_number, backup_start) == PageState::kBad) bad.push_back(i);
  }
  return bad;
}

}  // namespace standfast::pg
