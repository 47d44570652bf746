#include "pg/format/relation_map.h"

#include <fmt/format.h>

#include "base/crc32c.h"

namespace standfast::pg {
namespace {

constexpr std::uint32_t kMagic = 0x592717;
constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kMappingBytes = 8;
constexpr std::size_t kMappingsUntil15 = 62;
constexpr std::size_t kMappings = 64;

base::Error damaged(std::string_view what) {
  return base::Error(base::ErrorCode::kDamaged, fmt::format("pg_filenode.map: {}", what));
}

}  // namespace

base::Result<void> check_relation_map(base::Bytes bytes) {
  if (bytes.size() != kRelationMapBytesUntil15 && bytes.size() != kRelationMapBytes)
    return damaged(fmt::format("it has {} bytes, which no version writes", bytes.size()));
  const std::size_t mappings = bytes.size() == kRelationMapBytes ? kMappings : kMappingsUntil15;
  const std::size_t crc_offset = kHeaderBytes + mappings * kMappingBytes;
  base::Crc32c crc;
  crc.update(bytes.first(crc_offset));
  if (crc.value() != base::ByteReader(bytes.subspan(crc_offset)).u32_le())
    return damaged("its checksum does not match");
  base::ByteReader reader(bytes);
  if (reader.u32_le() != kMagic) return damaged("it does not begin as one");
  if (reader.u32_le().value_or(0) > mappings) return damaged("more mappings than there is room for");
  return base::ok();
}

}  // namespace standfast::pg
