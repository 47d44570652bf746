// Pages: whatever the bytes and the block size, both ways to a checksum agree, a page with the checksum that
// it should have is good, and one with another is bad, unless it is not judged.
#include <string>

#include "base/bytes.h"
#include "fuzz_input.h"
#include "pg/format/page.h"

namespace {

namespace base = standfast::base;
namespace pg = standfast::pg;

constexpr std::size_t kChecksumOffset = 8;

void put_checksum(std::string& page, std::uint16_t checksum) {
  page[kChecksumOffset] = static_cast<char>(checksum & 0xFFU);
  page[kChecksumOffset + 1] = static_cast<char>(checksum >> 8U);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 16) return 0;
  std::string page(standfast::fuzz::as_text(data, size));
  page.resize(pg::kMinBlockBytes << (data[0] % 6U), static_cast<char>(data[1]));
  const std::uint32_t block_number = data[2];
  const pg::Lsn start(std::uint64_t{data[3]} << 56U);

  const std::uint16_t checksum = pg::page_checksum(base::as_bytes(page), block_number);
  CHECK(checksum != 0 && checksum == pg::page_checksum_portably(base::as_bytes(page), block_number));
  const pg::PageHeader header = pg::page_header(base::as_bytes(page));
  const bool is_judged = !header.is_new() && header.lsn < start;
  for (const bool is_right : {true, false}) {
    put_checksum(page, static_cast<std::uint16_t>(is_right ? checksum : checksum ^ 1U));
    const pg::PageState state = pg::check_page(base::as_bytes(page), block_number, start);
    CHECK(is_judged == (state == pg::PageState::kGood || state == pg::PageState::kBad));
    if (is_judged) CHECK(is_right == (state == pg::PageState::kGood));
    const auto bad = pg::bad_pages(
        {.bytes = base::as_bytes(page), .first_block_number = block_number, .block_bytes = page.size()},
        start);
    CHECK(bad.size() == (is_judged && !is_right ? 1U : 0U));
  }
  return 0;
}
