#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/result.h"
#include "base/time.h"

namespace standfast::base {
namespace {

TEST(ErrorTable, ExitCodesAreBelow126AndUnique) {
  std::vector<int> seen;
#define STANDFAST_COLLECT(code, exit_code, name, text) seen.push_back(exit_code_of(ErrorCode::code));
  STANDFAST_ERROR_TABLE(STANDFAST_COLLECT)
#undef STANDFAST_COLLECT
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end());
  EXPECT_GT(seen.front(), 0);
  EXPECT_LT(seen.back(), 126);
}

Result<int> half(int number) {
  if (number % 2 != 0) return Error(ErrorCode::kFailed, "odd");
  return number / 2;
}
Result<int> quarter(int number) {
  return half(TRY(half(number)));
}

TEST(Result, TryReturnsTheErrorOfTheInnerCall) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).error().message, "odd");
}

TEST(Crc32c, MatchesTheCheckValueOfTheStandard) {
  Crc32c crc;
  crc.update(as_bytes("123456789"));
  EXPECT_EQ(crc.value(), 0xE3069283U);
}

TEST(Crc32c, ThatOfTwoPartsIsMadeOfTheirs) {
  std::string text;
  for (int i = 0; i < 9000; ++i) text.push_back(static_cast<char>(i * 7 + i / 256));
  const auto crc_of = [](std::string_view part) {
    Crc32c crc;
    crc.update(as_bytes(part));
    return crc.value();
  };
  for (const std::size_t cut : std::initializer_list<std::size_t>{0, 1, 4096, 8191, 9000}) {
    const std::string_view first = std::string_view(text).substr(0, cut);
    const std::string_view second = std::string_view(text).substr(cut);
    EXPECT_EQ(Crc32cJoin(second.size())(crc_of(first), crc_of(second)), crc_of(text)) << cut;
  }
}

TEST(Crc32c, IsTheSameInOnePieceAndInMany) {
  std::string data(1000, '\0');
  std::mt19937 random(7);
  for (char& byte : data) byte = static_cast<char>(random());
  Crc32c whole;
  whole.update(as_bytes(data));
  Crc32c pieces;
  for (std::size_t i = 0; i < data.size(); i += 13)
    pieces.update(as_bytes(std::string_view(data).substr(i, 13)));
  EXPECT_EQ(whole.value(), pieces.value());
}

TEST(Crc32c, TheInstructionAndTheTablesAgreeAtEachLengthAndAlignment) {
  std::string data(20'000, '\0');
  std::mt19937 random(8);
  for (char& byte : data) byte = static_cast<char>(random());
  std::vector<std::size_t> lengths;
  for (std::size_t length = 0; length < 2'000; ++length) lengths.push_back(length);
  for (std::size_t length = 2'000; length < 19'900; length += 1 + random() % 97) lengths.push_back(length);
  for (const std::size_t length : lengths) {
    const Bytes piece = as_bytes(std::string_view(data).substr(random() % 64, length));
    Crc32c by_instruction;
    by_instruction.update(piece);
    Crc32c by_tables;
    by_tables.update_portably(piece);
    ASSERT_EQ(by_instruction.value(), by_tables.value()) << length;
  }
}

TEST(ByteReader, AReadThatDoesNotFitMovesNothing) {
  ByteReader reader(as_bytes(std::string_view("\x01\x02\x03", 3)));
  EXPECT_FALSE(reader.u32_be().has_value());
  EXPECT_EQ(reader.u16_be(), 0x0102);
  EXPECT_FALSE(reader.c_string().has_value());
  EXPECT_EQ(reader.remaining(), 1U);
}

TEST(Base64Url, GivesBackEveryLength) {
  std::mt19937 random(11);
  for (std::size_t length = 0; length < 70; ++length) {
    std::string data(length, '\0');
    for (char& byte : data) byte = static_cast<char>(random());
    EXPECT_EQ(from_base64url(to_base64url(data)), data);
  }
  EXPECT_FALSE(from_base64url("a").has_value());
  EXPECT_FALSE(from_base64url("ab+/").has_value());
}

TEST(Format, BytesAndDurationsReadWell) {
  EXPECT_EQ(format_bytes(512), "512 B");
  EXPECT_EQ(format_bytes(16ULL << 20U), "16 MiB");
  EXPECT_EQ(format_bytes(3650722202ULL), "3.4 GiB");
  EXPECT_EQ(format_duration(Milliseconds(850)), "850 ms");
  EXPECT_EQ(format_duration(Milliseconds(3250)), "3.2 s");
  EXPECT_EQ(format_duration(Seconds(245)), "4 min 05 s");
}

}  // namespace
}  // namespace standfast::base
