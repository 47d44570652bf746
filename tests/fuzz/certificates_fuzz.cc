// Certificates that a server or a token gives: whatever is read keeps its promises, and what is written of it
// is read again. The input is tried as PEM, and as the DER inside of it; a zero byte parts what a server
// sends from what is trusted.
#include <string>

#include "fuzz_input.h"
#include "pg/client/certificate_chain.h"

namespace {

namespace client = standfast::client;

void check_leaf(std::string_view pem) {
  constexpr std::size_t kDigestDigits = 64;
  const auto leaf = client::read_leaf(pem);
  const std::string host = leaf && !leaf->names.empty() ? leaf->names.front() : "10.0.0.1";
  const auto fits = client::is_for_host(pem, host);
  const auto mode = client::sslmode_for(pem, host, client::own_libpq_version());
  CHECK(leaf.has_value() == mode.has_value());
  if (!leaf) return;
  CHECK(leaf->sha256_hex.size() == kDigestDigits);
  CHECK(*mode == "verify-full" || *mode == "verify-ca");
  if (*mode == "verify-full") CHECK(fits && !leaf->is_self_signed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest = standfast::fuzz::as_text(data, size);
  check_leaf(rest);
  if (const auto pem = client::pem_of_der(rest); pem && !pem->empty()) {
    CHECK(client::read_leaf(*pem).has_value());
    check_leaf(*pem);
    static_cast<void>(client::verify_chain(*pem, *pem));
  }
  const std::string_view sent = standfast::fuzz::take_until(rest, '\0');
  if (const auto verdict = client::verify_chain(sent, rest); verdict && !verdict->missing_der.empty())
    CHECK(client::pem_of_der(verdict->missing_der).has_value());
  return 0;
}
