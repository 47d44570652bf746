#include "pg/format/page.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace standfast::pg {
namespace {

// Pages as real servers with page checksums wrote them: what is not zero of their 8192 bytes.
struct Piece {
  std::size_t offset;
  const char* hex;
};
struct RealPage {
  const char* what;
  std::uint32_t block_number;
  std::uint64_t lsn;
  std::uint16_t checksum;
  std::uint16_t upper;
  std::vector<Piece> pieces;
};
const std::vector<RealPage>& real_pages() {
  static const std::vector<RealPage> pages = {
      {.what = "12, a leaf of a B-tree",
       .block_number = 1,
       .lsn = 0x1881FB0,
       .checksum = 0x5EC6,
       .upper = 8128,
       .pieces = {{4, "b01f8801c65e00002400c01ff01f042000000000e09f2000d09f2000c09f2000c09f20"},
                  {8132, "0300100002"},
                  {8148, "0200100001"},
                  {8164, "0100100001"},
                  {8188, "03"}}},
      {.what = "15, a table's first",
       .block_number = 0,
       .lsn = 0x1757F90,
       .checksum = 0x4633,
       .upper = 8088,
       .pieces = {{4, "907f7501334600002400981f0020042000000000d89f4e00b89f4000989f40"},
                  {8088, "d602"},
                  {8104, "03000200020918000200000009726f77d602"},
                  {8136, "02000200020918000100000009726f77d502"},
                  {8168, "010002000209180001000000177374616e642066617374"}}},
      {.what = "18, a table's tenth",
       .block_number = 9,
       .lsn = 0x177ACF8,
       .checksum = 0xC5BB,
       .upper = 8128,
       .pieces = {{4, "f8ac7701bbc500002000c01f0020042000000000e09f3800c09f38"},
                  {8128, "f502"},
                  {8142, "09000200010000081800c800000000000000f502"},
                  {8174, "09000100010000081800c7"}}}};
  return pages;
}

std::string bytes_of(const RealPage& real) {
  std::string page(8192, '\0');
  for (const Piece& piece : real.pieces) {
    const std::string bytes = base::from_hex(piece.hex).value();
    page.replace(piece.offset, bytes.size(), bytes);
  }
  return page;
}

constexpr Lsn kAfterAll(0x100'0000'0000);

/// The definition, word by word.
std::uint16_t plain_checksum(std::string_view page, std::uint32_t block_number) {
  constexpr std::array<std::uint32_t, 32> kFirst = {
      0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
      0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
      0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
      0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756};
  std::vector<std::uint32_t> words(page.size() / 4 + 64, 0);
  std::memcpy(words.data(), page.data(), page.size());
  std::memset(reinterpret_cast<char*>(words.data()) + 8, 0, 2);
  std::array<std::uint32_t, 32> sums = kFirst;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::uint32_t mixed = sums[i % 32] ^ words[i];
    sums[i % 32] = (mixed * 16777619U) ^ (mixed >> 17U);
  }
  std::uint32_t folded = block_number;
  for (const std::uint32_t sum : sums) folded ^= sum;
  return static_cast<std::uint16_t>(folded % 65535 + 1);
}

std::string random_page(std::mt19937_64& random, std::size_t block_bytes) {
  std::string page(block_bytes, '\0');
  for (std::size_t at = 0; at < page.size(); at += sizeof(std::uint64_t)) {
    const std::uint64_t word = random();
    std::memcpy(page.data() + at, &word, sizeof word);
  }
  return page;
}

template <typename Number>
void put(std::string& page, std::size_t offset, Number number) {
  std::memcpy(page.data() + offset, &number, sizeof number);
}

/// One that check_page() finds good, older than kAfterAll.
std::string sealed_page(std::mt19937_64& random, std::size_t block_bytes, std::uint32_t block_number) {
  std::string page = random_page(random, block_bytes);
  put(page, 0, std::uint32_t{0x10});
  put(page, 14, static_cast<std::uint16_t>(random() | 3U));  // no flipped bit makes it a new page
  put(page, 8, plain_checksum(page, block_number));
  return page;
}

class Page : public ::testing::Test {
 protected:
  const std::uint64_t seed_ = std::random_device()();
  std::mt19937_64 random_{seed_};
  const ::testing::ScopedTrace trace_{__FILE__, __LINE__, "seed " + std::to_string(seed_)};
};

TEST_F(Page, OfRealServersHoldTheirChecksums) {
  for (const RealPage& real : real_pages()) {
    SCOPED_TRACE(real.what);
    const std::string page = bytes_of(real);
    const PageHeader header = page_header(base::as_bytes(page));
    EXPECT_EQ(header.lsn, Lsn(real.lsn));
    EXPECT_EQ(header.checksum, real.checksum);
    EXPECT_EQ(header.upper, real.upper);
    EXPECT_EQ(page_checksum(base::as_bytes(page), real.block_number), real.checksum);
    EXPECT_EQ(page_checksum_portably(base::as_bytes(page), real.block_number), real.checksum);
    EXPECT_EQ(check_page(base::as_bytes(page), real.block_number, kAfterAll), PageState::kGood);
    EXPECT_EQ(check_page(base::as_bytes(page), real.block_number + 1, kAfterAll), PageState::kBad);
  }
}

TEST_F(Page, EveryWayGivesTheSameChecksumForEachBlockSizeAndAlignment) {
  for (std::size_t block_bytes = kMinBlockBytes; block_bytes <= kMaxBlockBytes; block_bytes *= 2)
    for (std::size_t shift = 0; shift < 9; ++shift) {
      const std::string page = random_page(random_, block_bytes);
      const auto block_number = static_cast<std::uint32_t>(random_());
      const std::string shifted = std::string(shift, 'x') + page;
      const base::Bytes bytes = base::as_bytes(shifted).subspan(shift);
      const std::uint16_t expected = plain_checksum(page, block_number);
      ASSERT_EQ(page_checksum(bytes, block_number), expected) << block_bytes << " bytes, shifted " << shift;
      ASSERT_EQ(page_checksum_portably(bytes, block_number), expected) << block_bytes << ", " << shift;
    }
}

TEST_F(Page, AFlippedBitIsNoticed) {
  for (std::size_t block_bytes = kMinBlockBytes; block_bytes <= kMaxBlockBytes; block_bytes *= 2) {
    const auto block_number = static_cast<std::uint32_t>(random_() % 1000);
    std::string page = sealed_page(random_, block_bytes, block_number);
    ASSERT_EQ(check_page(base::as_bytes(page), block_number, kAfterAll), PageState::kGood);
    // 16 bits miss one change in 65536.
    std::size_t missed = 0;
    for (std::size_t bit = 0; bit < 8 * block_bytes; bit += bit < 8 * 24 ? 1 : random_() % 61 + 1) {
      const auto mask = static_cast<char>(1U << bit % 8);
      page[bit / 8] = static_cast<char>(page[bit / 8] ^ mask);
      const PageState state = check_page(base::as_bytes(page), block_number, kAfterAll);
      if (state != PageState::kBad && bit >= 8 * 8) {  // with those of the LSN it may not be judged any more
        EXPECT_EQ(state, PageState::kGood) << "bit " << bit << " of " << block_bytes << " bytes";
        ++missed;
      }
      page[bit / 8] = static_cast<char>(page[bit / 8] ^ mask);
    }
    EXPECT_LE(missed, 3U) << block_bytes;
  }
  for (const RealPage& real : real_pages()) {
    std::string page = bytes_of(real);
    for (std::size_t bit = 8 * 16; bit < 8 * page.size(); bit += 7) {
      const auto mask = static_cast<char>(1U << bit % 8);
      page[bit / 8] = static_cast<char>(page[bit / 8] ^ mask);
      EXPECT_EQ(check_page(base::as_bytes(page), real.block_number, kAfterAll), PageState::kBad)
          << real.what << ", bit " << bit;
      page[bit / 8] = static_cast<char>(page[bit / 8] ^ mask);
    }
  }
}

TEST_F(Page, WhatIsNewOrNewerIsNotJudged) {
  std::string page = bytes_of(real_pages()[1]);
  const Lsn lsn(real_pages()[1].lsn);
  page[5000] = 'x';
  EXPECT_EQ(check_page(base::as_bytes(page), 0, lsn + 1), PageState::kBad);
  EXPECT_EQ(check_page(base::as_bytes(page), 0, lsn), PageState::kNewerThanBackup);
  EXPECT_EQ(check_page(base::as_bytes(page), 0, Lsn(1)), PageState::kNewerThanBackup);
  put(page, 14, std::uint16_t{0});
  EXPECT_EQ(check_page(base::as_bytes(page), 0, lsn + 1), PageState::kNew);
  EXPECT_EQ(check_page(base::as_bytes(std::string(8192, '\0')), 0, kAfterAll), PageState::kNew);
  // Both halves of an LSN count, the first as the higher one.
  put(page, 14, std::uint16_t{8000});
  put(page, 0, std::uint32_t{2});
  put(page, 4, std::uint32_t{1});
  EXPECT_EQ(check_page(base::as_bytes(page), 0, Lsn(0x2'0000'0001)), PageState::kNewerThanBackup);
  EXPECT_EQ(check_page(base::as_bytes(page), 0, Lsn(0x2'0000'0002)), PageState::kBad);
}

TEST_F(Page, TheBadOnesOfARunAreFound) {
  for (const std::size_t block_bytes : {kMinBlockBytes, std::size_t{8192}, kMaxBlockBytes})
    for (int round = 0; round < 20; ++round) {
      const auto first = static_cast<std::uint32_t>(random_());
      const std::size_t count = random_() % 9;
      std::string run;
      std::vector<std::size_t> expected;
      for (std::size_t i = 0; i < count; ++i) {
        std::string page = sealed_page(random_, block_bytes, first + static_cast<std::uint32_t>(i));
        switch (random_() % 4) {
          case 0:
            put(page, 8, static_cast<std::uint16_t>(page_header(base::as_bytes(page)).checksum + 1U));
            expected.push_back(i);
            break;
          case 1:
            put(page, 14, std::uint16_t{0});
            break;
          case 2:
            put(page, 0, std::uint32_t{0x1000});
            break;
          default:
            break;
        }
        run += page;
      }
      run += run.substr(0, random_() % block_bytes % (run.size() + 1));  // not a whole page
      EXPECT_EQ(
          bad_pages({.bytes = base::as_bytes(run), .first_block_number = first, .block_bytes = block_bytes},
                    kAfterAll),
          expected);
    }
  EXPECT_TRUE(bad_pages({.bytes = {}}, kAfterAll).empty());
}

TEST_F(Page, BlockSizesArePowersOfTwoInBounds) {
  for (const std::uint64_t good : {1024U, 2048U, 4096U, 8192U, 16384U, 32768U})
    EXPECT_TRUE(is_valid_block_size(good)) << good;
  for (const std::uint64_t bad : {0U, 1U, 512U, 1023U, 3072U, 8191U, 65536U})
    EXPECT_FALSE(is_valid_block_size(bad)) << bad;
}

}  // namespace
}  // namespace standfast::pg
