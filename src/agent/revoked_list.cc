// The half of certificate_authority.h that is about the list of revoked certificates (RFC 5280 5).
#include <memory>
#include <span>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "agent/certificate_authority.h"
#include "base/bytes.h"
#include "base/check.h"

namespace standfast::agent {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using net::openssl_failed;
using RevokedHandle = std::unique_ptr<X509_REVOKED, net::Free<X509_REVOKED_free>>;

/// About a hundred bytes each in PEM.
constexpr std::size_t kMaxListBytes = std::size_t{1} << 20U;

Error bad_list(const char* why) {
  return {ErrorCode::kCertificate, fmt::format("the list of revoked certificates is refused: {}", why)};
}

Result<void> add_serial(X509_CRL& list, const RevokedSerial& revoked) {
  const auto bytes = base::from_hex(revoked.serial);
  CHECK(bytes.has_value());
  const auto serial =
      asn1_integer(std::span(reinterpret_cast<const unsigned char*>(bytes->data()), bytes->size()));
  const auto since = asn1_time(revoked.since);
  RevokedHandle entry(X509_REVOKED_new());
  if (!serial || !since || !entry || X509_REVOKED_set_serialNumber(entry.get(), serial.get()) != 1 ||
      X509_REVOKED_set_revocationDate(entry.get(), since.get()) != 1 ||
      X509_CRL_add0_revoked(&list, entry.get()) != 1) {
    return openssl_failed("list a revoked certificate");
  }
  static_cast<void>(entry.release());  // the list's now
  return base::ok();
}

Result<void> set_number_and_issuer_key(X509_CRL& list, X509& issuer, std::uint64_t list_number) {
  const net::IntegerHandle number(ASN1_INTEGER_new());
  if (!number || ASN1_INTEGER_set_uint64(number.get(), list_number) != 1 ||
      X509_CRL_add1_ext_i2d(&list, NID_crl_number, number.get(), 0, 0) != 1) {
    return openssl_failed("number a list of revoked certificates");
  }
  X509V3_CTX context{};
  X509V3_set_ctx(&context, &issuer, nullptr, nullptr, &list, 0);
  X509_EXTENSION* extension =
      X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid:always");
  const bool added = extension != nullptr && X509_CRL_add_ext(&list, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  if (!added) return openssl_failed("say who made a list of revoked certificates");
  return base::ok();
}

Result<std::uint64_t> number_of(const X509_CRL& list) {
  const net::IntegerHandle number(
      static_cast<ASN1_INTEGER*>(X509_CRL_get_ext_d2i(&list, NID_crl_number, nullptr, nullptr)));
  std::uint64_t value = 0;
  const bool is_there = number && ASN1_INTEGER_get_uint64(&value, number.get()) == 1;
  ERR_clear_error();
  if (!is_there) return bad_list("it has no number");
  return value;
}

}  // namespace

Result<std::string> sign_revoked_list(const Authority& authority, const RevokedList& list) {
  const auto issuer = TRY(certificate_from(authority.certificate_pem));
  const auto key = TRY(key_from(authority.key_pem.reveal()));
  const net::RevokedListHandle crl(X509_CRL_new());
  // Early, as certificates are: a host whose clock is behind would else let nobody in.
  const auto made = asn1_time(list.made - kClockSlack);
  if (!crl || !made || X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2) != 1 ||
      X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(issuer.get())) != 1 ||
      X509_CRL_set1_lastUpdate(crl.get(), made.get()) != 1 ||
      X509_CRL_set1_nextUpdate(crl.get(), X509_get0_notAfter(issuer.get())) != 1) {
    return openssl_failed("make a list of revoked certificates");
  }
  for (const RevokedSerial& revoked : list.serials) TRY(add_serial(*crl, revoked));
  TRY(set_number_and_issuer_key(*crl, *issuer, list.number));
  const net::BufferHandle buffer(BIO_new(BIO_s_mem()));
  if (!buffer || X509_CRL_sort(crl.get()) != 1 || X509_CRL_sign(crl.get(), key.get(), EVP_sha256()) == 0 ||
      PEM_write_bio_X509_CRL(buffer.get(), crl.get()) != 1) {
    return openssl_failed("sign a list of revoked certificates");
  }
  return text_in(*buffer);
}

Result<RevokedList> read_revoked_list(std::string_view pem, std::string_view authority_pem) {
  if (pem.size() > kMaxListBytes) return bad_list("it is too long");
  const auto issuer = TRY(certificate_from(authority_pem));
  const auto buffer = buffer_over(pem);
  const net::RevokedListHandle crl(PEM_read_bio_X509_CRL(buffer.get(), nullptr, no_passphrase, nullptr));
  ERR_clear_error();
  if (!crl) return bad_list("it is none in PEM");
  const bool is_signed = X509_CRL_verify(crl.get(), X509_get0_pubkey(issuer.get())) == 1;
  ERR_clear_error();
  if (!is_signed) return bad_list("the cluster's authority did not sign it");
  const auto made = time_of(X509_CRL_get0_lastUpdate(crl.get()));
  if (!made) return bad_list("its time cannot be read");
  RevokedList list{.number = TRY(number_of(*crl)), .made = *made + kClockSlack, .serials = {}};
  STACK_OF(X509_REVOKED)* entries = X509_CRL_get_REVOKED(crl.get());
  for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i) {
    const X509_REVOKED* entry = sk_X509_REVOKED_value(entries, i);
    const auto since = time_of(X509_REVOKED_get0_revocationDate(entry));
    if (!since) return bad_list("its time cannot be read");
    list.serials.push_back({TRY(hex_of_serial(X509_REVOKED_get0_serialNumber(entry))), *since});
  }
  return list;
}

bool is_newer(const RevokedList& list, const RevokedList& than) {
  return std::tie(list.number, list.made) > std::tie(than.number, than.made);
}

}  // namespace standfast::agent
