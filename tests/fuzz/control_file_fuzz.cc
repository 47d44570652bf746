// pg_control: whatever is taken has values that can be, and a flipped bit under the checksum is never taken.
// The input is tried as it is, and with a known version and a checksum that holds.
#include <algorithm>
#include <array>
#include <string>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "fuzz_input.h"
#include "pg/format/control_file.h"

namespace {

namespace base = standfast::base;
using standfast::pg::ControlFile;
using standfast::pg::DbState;

constexpr std::size_t kSmallestFileBytes = 296;
constexpr std::size_t kVersionOffset = 8;

struct Layout {
  std::uint32_t version;
  std::size_t crc_offset;
};
constexpr std::array<Layout, 4> kLayouts = {{{1201, 288}, {1300, 288}, {1700, 288}, {1800, 292}}};

void put_u32(std::string& file, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) file[at + i] = static_cast<char>((value >> (8 * i)) & 0xFFU);
}

std::string sealed(std::string_view text, const Layout& layout) {
  std::string file(text);
  file.resize(std::max(file.size(), kSmallestFileBytes), '\0');
  put_u32(file, kVersionOffset, layout.version);
  base::Crc32c crc;
  crc.update(base::as_bytes(std::string_view(file).substr(0, layout.crc_offset)));
  put_u32(file, layout.crc_offset, crc.value());
  return file;
}

void check_values(const ControlFile& file) {
  CHECK(file.state <= DbState::kInProduction);
  CHECK(!standfast::pg::describe(file.state).empty());
  CHECK(file.wal_segment_bytes >= 1U << 20U && (file.wal_segment_bytes & (file.wal_segment_bytes - 1)) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = standfast::fuzz::as_text(data, size);
  const auto as_it_is = standfast::pg::parse_control_file(base::as_bytes(text));
  if (as_it_is.has_value()) check_values(*as_it_is);
  for (const Layout& layout : kLayouts) {
    std::string file = sealed(text, layout);
    const auto parsed = standfast::pg::parse_control_file(base::as_bytes(file));
    if (!parsed.has_value()) continue;
    CHECK(parsed->control_version == layout.version);
    check_values(*parsed);
    char& victim = file[(size * 31) % layout.crc_offset];
    victim = static_cast<char>(victim ^ 1);
    CHECK(!standfast::pg::parse_control_file(base::as_bytes(file)).has_value());
  }
  return 0;
}
