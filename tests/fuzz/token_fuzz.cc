// The join token: what is read can be written and read again as the same; a changed character is never taken.
// The input is tried as a token, and as the json inside of one with a right checksum.
#include <string>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "fuzz_input.h"
#include "pg/format/token.h"

namespace {

namespace base = standfast::base;

std::string sealed(std::string_view json) {
  const std::string body = "standfast1." + base::to_base64url(json);
  base::Crc32c crc;
  crc.update(base::as_bytes(body));
  return fmt::format("{}.{:08x}", body, crc.value());
}

void check_token(std::string_view text) {
  const auto token = standfast::pg::decode_token(text);
  if (!token.has_value()) {
    CHECK(token.error().code == base::ErrorCode::kToken);
    return;
  }
  const auto encoded = standfast::pg::encode_token(*token);
  if (!encoded.has_value()) return;  // json with escapes can say in fewer bytes what we would write in more
  CHECK(standfast::pg::looks_like_token(encoded->reveal()));
  CHECK(standfast::pg::decode_token(encoded->reveal()).value() == *token);
  std::string changed = encoded->reveal();
  char& victim = changed[text.size() % changed.size()];
  victim = victim == 'A' ? 'B' : 'A';
  CHECK(!standfast::pg::decode_token(changed).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = standfast::fuzz::as_text(data, size);
  static_cast<void>(standfast::pg::looks_like_token(text));
  check_token(text);
  check_token(sealed(text));
  return 0;
}
