// What members send each other as PEM: a certificate request, a certificate, a list of revoked ones. Whatever
// is taken keeps its promises. The input is tried as PEM, and as the DER inside of it.
#include <chrono>
#include <string>

#include <openssl/pem.h>

#include "agent/certificate_authority.h"
#include "fuzz_input.h"

namespace {

namespace agent = standfast::agent;
using standfast::pg::SystemId;

constexpr agent::UnixSeconds kNow{std::chrono::seconds(1'800'000'000)};

const agent::Authority& authority() {
  static const agent::Authority made = agent::make_authority(SystemId(7), kNow).value();
  return made;
}

std::string pem_of(const char* label, std::string_view der) {
  const standfast::net::BufferHandle buffer(BIO_new(BIO_s_mem()));
  CHECK(PEM_write_bio(buffer.get(), label, "", reinterpret_cast<const unsigned char*>(der.data()),
                      static_cast<long>(der.size())) > 0);
  return agent::text_in(*buffer);
}

void check_request(std::string_view pem) {
  const auto request = agent::check_request(pem);
  if (!request) return;
  const agent::Member member{SystemId(7), "a"};
  const auto made = agent::sign_member(authority(), *request, member, kNow);
  CHECK(made && made->facts.member == member);
  CHECK(agent::read_certificate(made->certificate_pem)->serial == made->facts.serial);
}

void check_certificate(std::string_view pem) {
  const auto facts = agent::read_certificate(pem);
  if (!facts) return;
  CHECK(agent::is_member_name(facts->member.name));
  CHECK(agent::parse_member_uri(agent::uri_of(facts->member)) == facts->member);
  CHECK(facts->serial.size() == 32);
  CHECK(agent::fingerprint_of(pem)->size() == 64);
}

void check_all(std::string_view request, std::string_view certificate, std::string_view list) {
  check_request(request);
  check_certificate(certificate);
  // Judged by its own certificate, or none would ever have the right signature.
  CHECK(!agent::read_revoked_list(list, authority().certificate_pem));
  const auto read = agent::read_revoked_list(list, certificate);
  if (read) CHECK(!agent::is_newer(*read, *read));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = standfast::fuzz::as_text(data, size);
  check_all(text, text, text);
  if (text.empty()) return 0;  // nothing is no PEM
  check_all(pem_of("CERTIFICATE REQUEST", text), pem_of("CERTIFICATE", text), pem_of("X509 CRL", text));
  return 0;
}
