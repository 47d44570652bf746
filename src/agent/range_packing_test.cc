#include "agent/range_packing.h"

#include <algorithm>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace standfast::agent {
namespace {

std::string noise(std::size_t size) {
  std::mt19937_64 random(7);
  std::string out;
  for (std::size_t i = 0; i < size; ++i) out += static_cast<char>(random() & 0xFFU);
  return out;
}
/// As a table's rows: much that comes again, some that does not.
std::string rows(std::size_t size) {
  const std::string salt = noise(size / 8 + 1);
  std::string out;
  for (std::size_t i = 0; out.size() < size; ++i) out += "row of a table " + salt.substr(i % salt.size(), 1);
  out.resize(size);
  return out;
}

class RangePacking : public ::testing::TestWithParam<Compression> {
 protected:
  RangePacker packer_;
  RangeUnpacker unpacker_;
  std::vector<std::byte> room_ = std::vector<std::byte>(kMaxRangeBytes);

  base::Result<base::Bytes> unpack(const RangeBytes& range) { return unpacker_.unpack(range, room_); }
  void expect_refused(const RangeBytes& range) {
    const auto plain = unpack(range);
    ASSERT_FALSE(plain);
    EXPECT_EQ(plain.error().code, base::ErrorCode::kProtocol);
    EXPECT_FALSE(plain.error().hint.empty());
  }
};

TEST_P(RangePacking, UnpacksToWhatWasPackedWithOneObjectForAll) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{8192},
                                 std::size_t{1'000'003}, kMaxRangeBytes}) {
    for (const std::string& text : {rows(size), noise(size), std::string(size, '\0')}) {
      const RangeBytes range = packer_.pack(base::as_bytes(text), GetParam());
      EXPECT_TRUE(check(range)) << size;
      const auto plain = unpack(range);
      ASSERT_TRUE(plain) << plain.error().message;
      EXPECT_TRUE(base::as_text(*plain) == text) << size;
    }
  }
}

TEST_P(RangePacking, WhatDoesNotGetShorterStaysAsItIs) {
  const std::string text = noise(8192);
  const RangeBytes range = packer_.pack(base::as_bytes(text), GetParam());
  EXPECT_EQ(range.compression, Compression::kNone);
  EXPECT_EQ(range.bytes.data(), base::as_bytes(text).data());
  const std::string shorter = rows(8192);
  EXPECT_EQ(packer_.pack(base::as_bytes(shorter), GetParam()).compression, GetParam());
}

TEST_P(RangePacking, ALengthThatLiesIsRefused) {
  const std::string text = rows(100'000);
  RangeBytes range = packer_.pack(base::as_bytes(text), GetParam());
  ASSERT_TRUE(unpack(range));
  for (const std::uint32_t lie : {0U, 1U, 99'999U, 100'001U, static_cast<std::uint32_t>(kMaxRangeBytes)}) {
    range.plain_bytes = lie;
    expect_refused(range);
  }
  range.plain_bytes = kMaxRangeBytes + 1;
  expect_refused(range);
}

TEST_P(RangePacking, NothingIsWrittenBehindTheLengthThatWasSaid) {
  const std::string text = rows(100'000);
  RangeBytes range = packer_.pack(base::as_bytes(text), GetParam());
  range.plain_bytes = 50'000;
  std::fill(room_.begin(), room_.end(), std::byte{0x5A});
  expect_refused(range);
  EXPECT_TRUE(
      std::all_of(room_.begin() + 50'000, room_.end(), [](std::byte b) { return b == std::byte{0x5A}; }));
}

TEST_P(RangePacking, WhatIsCutOrDamagedIsRefusedOrHasItsLength) {
  const std::string text = rows(20'000);
  const RangeBytes range = packer_.pack(base::as_bytes(text), GetParam());
  for (std::size_t size = 0; size < range.bytes.size(); ++size) {
    RangeBytes cut = range;
    cut.bytes = range.bytes.first(size);
    expect_refused(cut);
  }
  for (std::size_t at = 0; at < range.bytes.size(); ++at) {
    std::string damaged(base::as_text(range.bytes));
    damaged[at] = static_cast<char>(damaged[at] ^ 0x41);
    RangeBytes other = range;
    other.bytes = base::as_bytes(damaged);
    const auto plain = unpack(other);
    if (plain) {
      EXPECT_EQ(plain->size(), text.size());
    } else {
      EXPECT_EQ(plain.error().code, base::ErrorCode::kProtocol);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Both, RangePacking, ::testing::Values(Compression::kLz4, Compression::kZstd),
                         [](const auto& one) { return one.param == Compression::kLz4 ? "lz4" : "zstd"; });

TEST(RangePackingOfNothing, IsTheBytesThemselves) {
  const std::string text = rows(8192);
  RangePacker packer;
  RangeUnpacker unpacker;
  const RangeBytes range = packer.pack(base::as_bytes(text), Compression::kNone);
  EXPECT_EQ(range.bytes.data(), base::as_bytes(text).data());
  const auto plain = unpacker.unpack(range, {});
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->data(), range.bytes.data());
  RangeBytes lie = range;
  lie.plain_bytes = 8191;
  EXPECT_FALSE(unpacker.unpack(lie, {}));
}

}  // namespace
}  // namespace standfast::agent
