#include "agent/certificate.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/bytes.h"

namespace standfast::agent {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using Names = std::unique_ptr<GENERAL_NAMES, net::Free<GENERAL_NAMES_free>>;

constexpr std::string_view kUriScheme = "standfast:";
constexpr std::size_t kMaxNameBytes = 63;
constexpr int kSerialBytes = 16;

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

Error not_a_member(std::string_view why) {
  return {ErrorCode::kCertificate, fmt::format("not the certificate of a cluster's member: {}", why)};
}

std::optional<Member> member_of(const X509& certificate) {
  const Names names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  ERR_clear_error();
  if (!names || sk_GENERAL_NAME_num(names.get()) != 1) return std::nullopt;
  const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), 0);
  if (name->type != GEN_URI) return std::nullopt;
  const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
  return parse_member_uri({reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                           static_cast<std::size_t>(ASN1_STRING_length(uri))});
}

}  // namespace

bool is_member_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && is_letter_or_digit(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_letter_or_digit(c) || c == '-' || c == '_' || c == '.'; });
}

std::string uri_of(const Member& member) {
  return fmt::format("{}{}/{}", kUriScheme, member.system_id.to_string(), member.name);
}

std::optional<Member> parse_member_uri(std::string_view uri) {
  if (!uri.starts_with(kUriScheme)) return std::nullopt;
  uri.remove_prefix(kUriScheme.size());
  const std::size_t slash = uri.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto system_id = pg::SystemId::parse(uri.substr(0, slash));
  const std::string_view name = uri.substr(slash + 1);
  if (!system_id || !is_member_name(name)) return std::nullopt;
  return Member{*system_id, std::string(name)};
}

net::BufferHandle buffer_over(std::string_view text) {
  return net::BufferHandle(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

int no_passphrase(char* /*buffer*/, int /*size*/, int /*is_for_writing*/, void* /*data*/) {
  return -1;
}

std::string text_in(BIO& buffer) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(&buffer, &data);
  return {data, static_cast<std::size_t>(size)};
}

net::TimeHandle asn1_time(UnixSeconds time) {
  return net::TimeHandle(ASN1_TIME_set(nullptr, static_cast<time_t>(time.time_since_epoch().count())));
}

net::IntegerHandle asn1_integer(std::span<const unsigned char> magnitude) {
  const net::NumberHandle number(BN_bin2bn(magnitude.data(), static_cast<int>(magnitude.size()), nullptr));
  return net::IntegerHandle(number ? BN_to_ASN1_INTEGER(number.get(), nullptr) : nullptr);
}

Result<net::CertificateHandle> certificate_from(std::string_view pem) {
  if (pem.size() > kMaxPemBytes) return Error(ErrorCode::kCertificate, "a certificate is too long");
  const auto buffer = buffer_over(pem);
  net::CertificateHandle certificate(PEM_read_bio_X509(buffer.get(), nullptr, no_passphrase, nullptr));
  ERR_clear_error();
  if (!certificate) return Error(ErrorCode::kCertificate, "not a certificate in PEM");
  return certificate;
}

Result<net::KeyHandle> key_from(std::string_view pem) {
  if (pem.size() > kMaxPemBytes) return Error(ErrorCode::kCertificate, "a private key is too long");
  const auto buffer = buffer_over(pem);
  net::KeyHandle key(PEM_read_bio_PrivateKey(buffer.get(), nullptr, no_passphrase, nullptr));
  ERR_clear_error();
  if (!key) return Error(ErrorCode::kCertificate, "not a private key in PEM without a passphrase");
  return key;
}

Result<std::string> hex_of_serial(const ASN1_INTEGER* serial) {
  const net::NumberHandle number(ASN1_INTEGER_to_BN(serial, nullptr));
  std::array<unsigned char, kSerialBytes> bytes{};
  if (!number || BN_is_negative(number.get()) != 0 ||
      BN_bn2binpad(number.get(), bytes.data(), kSerialBytes) != kSerialBytes) {
    ERR_clear_error();
    return not_a_member("its serial number has more than 128 bits");
  }
  return base::to_hex(std::as_bytes(std::span(bytes)));
}

std::optional<UnixSeconds> time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) {
    ERR_clear_error();
    return std::nullopt;
  }
  return UnixSeconds(std::chrono::seconds(timegm(&parts)));
}

Result<CertificateFacts> facts_of(const X509& certificate) {
  const auto member = member_of(certificate);
  if (!member) return not_a_member("it names none");
  const auto begins = time_of(X509_get0_notBefore(&certificate));
  const auto ends = time_of(X509_get0_notAfter(&certificate));
  if (!begins || !ends) return not_a_member("its times cannot be read");
  std::string serial = TRY(hex_of_serial(X509_get0_serialNumber(&certificate)));
  return CertificateFacts{
      .member = *member, .serial = std::move(serial), .issued = *begins + kClockSlack, .expires = *ends};
}

Result<CertificateFacts> read_certificate(std::string_view pem) {
  return facts_of(*TRY(certificate_from(pem)));
}

UnixSeconds renew_from(const CertificateFacts& facts) {
  constexpr int kThirds = 3;
  return facts.issued + (facts.expires - facts.issued) / kThirds;
}

Result<std::string> fingerprint_of(const X509& certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (X509_digest(&certificate, EVP_sha256(), digest.data(), &size) != 1) {
    return net::openssl_failed("hash a certificate");
  }
  return base::to_hex(std::as_bytes(std::span(digest).first(size)));
}

Result<std::string> fingerprint_of(std::string_view certificate_pem) {
  return fingerprint_of(*TRY(certificate_from(certificate_pem)));
}

}  // namespace standfast::agent
