// pg_filenode.map: any bytes are judged, and a flipped bit under the checksum is never taken. The input is
// tried as it is, and as a map of each layout with a checksum that holds.
#include <string>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "fuzz_input.h"
#include "pg/format/relation_map.h"

namespace {

namespace base = standfast::base;
namespace pg = standfast::pg;

std::string sealed(std::string_view text, std::size_t size_bytes) {
  std::string map(text);
  map.resize(size_bytes, '\0');
  const std::size_t crc_offset = (size_bytes - 4) / 8 * 8;
  base::Crc32c crc;
  crc.update(base::as_bytes(std::string_view(map).substr(0, crc_offset)));
  for (std::size_t i = 0; i < 4; ++i)
    map[crc_offset + i] = static_cast<char>((crc.value() >> (8 * i)) & 0xFFU);
  return map;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = standfast::fuzz::as_text(data, size);
  static_cast<void>(pg::check_relation_map(base::as_bytes(text)).has_value());
  for (const std::size_t size_bytes : {pg::kRelationMapBytesUntil15, pg::kRelationMapBytes}) {
    std::string map = sealed(text, size_bytes);
    if (!pg::check_relation_map(base::as_bytes(map)).has_value()) continue;
    char& victim = map[(size * 31) % (size_bytes - 8)];
    victim = static_cast<char>(victim ^ 1);
    CHECK(!pg::check_relation_map(base::as_bytes(map)).has_value());
  }
  return 0;
}
