#include "pg/format/relation_map.h"

#include <string>

#include <gtest/gtest.h>

#include "base/crc32c.h"

namespace standfast::pg {
namespace {

using base::ErrorCode;

void put_u32(std::string& bytes, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>((value >> (8 * i)) & 0xFFU);
}

/// As a server lays it out: the CRC behind all mappings, then what is left as padding.
std::string map_of(std::size_t size_bytes, std::uint32_t mappings, std::uint32_t magic = 0x592717) {
  std::string bytes(size_bytes, '\0');
  put_u32(bytes, 0, magic);
  put_u32(bytes, 4, mappings);
  put_u32(bytes, 8, 1262);
  put_u32(bytes, 12, 1262);
  const std::size_t crc_offset = size_bytes == kRelationMapBytes ? 520 : 504;
  base::Crc32c crc;
  crc.update(base::as_bytes(bytes).first(crc_offset));
  put_u32(bytes, crc_offset, crc.value());
  return bytes;
}

ErrorCode code_of(const std::string& bytes) {
  const auto checked = check_relation_map(base::as_bytes(bytes));
  return checked ? ErrorCode::kFailed : checked.error().code;
}

TEST(RelationMap, BothLayoutsAreTaken) {
  EXPECT_TRUE(check_relation_map(base::as_bytes(map_of(kRelationMapBytesUntil15, 62))));
  EXPECT_TRUE(check_relation_map(base::as_bytes(map_of(kRelationMapBytes, 64))));
}

TEST(RelationMap, PartOfOneIsNone) {
  for (const std::size_t size_bytes : {kRelationMapBytesUntil15, kRelationMapBytes}) {
    const std::string whole = map_of(size_bytes, 50);
    EXPECT_EQ(code_of(whole.substr(0, size_bytes - 1)), ErrorCode::kDamaged);
    EXPECT_EQ(code_of(whole + '\0'), ErrorCode::kDamaged);
    std::string torn = whole;
    put_u32(torn, 12, 16390);
    EXPECT_EQ(code_of(torn), ErrorCode::kDamaged);
  }
  EXPECT_EQ(code_of(""), ErrorCode::kDamaged);
}

TEST(RelationMap, ChecksumOverWhatCannotBeDoesNotMakeItOne) {
  EXPECT_EQ(code_of(map_of(kRelationMapBytes, 65)), ErrorCode::kDamaged);
  EXPECT_EQ(code_of(map_of(kRelationMapBytesUntil15, 63)), ErrorCode::kDamaged);
  EXPECT_EQ(code_of(map_of(kRelationMapBytes, 1, 0x592718)), ErrorCode::kDamaged);
}

}  // namespace
}  // namespace standfast::pg
