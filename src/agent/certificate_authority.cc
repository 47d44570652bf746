#include "agent/certificate_authority.h"

#include <array>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include "base/bytes.h"
#include "base/check.h"

namespace standfast::agent {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Secret;
using net::openssl_failed;

constexpr const char* kGroup = "prime256v1";
constexpr int kSerialBytes = 16;

net::BufferHandle new_buffer() {
  return net::BufferHandle(BIO_new(BIO_s_mem()));
}

Result<std::string> pem_of(X509& certificate) {
  const auto buffer = new_buffer();
  if (!buffer || PEM_write_bio_X509(buffer.get(), &certificate) != 1) {
    return openssl_failed("write a certificate");
  }
  return text_in(*buffer);
}

Result<Secret> pem_of(EVP_PKEY& key) {
  // secmem wipes what it held.
  const net::BufferHandle buffer(BIO_new(BIO_s_secmem()));
  if (!buffer ||
      PEM_write_bio_PKCS8PrivateKey(buffer.get(), &key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return openssl_failed("write a private key");
  }
  return Secret(text_in(*buffer));
}

Result<void> set_random_serial(X509& certificate) {
  std::array<unsigned char, kSerialBytes> bytes{};
  if (RAND_bytes(bytes.data(), kSerialBytes) != 1) return openssl_failed("number a certificate");
  const auto serial = asn1_integer(bytes);
  if (!serial || X509_set_serialNumber(&certificate, serial.get()) != 1) {
    return openssl_failed("number a certificate");
  }
  return base::ok();
}

Result<void> set_validity(X509& certificate, UnixSeconds now, std::chrono::seconds life) {
  const auto begins = asn1_time(now - kClockSlack);
  const auto ends = asn1_time(now + life);
  if (!begins || !ends || X509_set1_notBefore(&certificate, begins.get()) != 1 ||
      X509_set1_notAfter(&certificate, ends.get()) != 1) {
    return openssl_failed("date a certificate");
  }
  return base::ok();
}

Result<void> set_common_name(X509& certificate, const std::string& name) {
  if (X509_NAME_add_entry_by_txt(X509_get_subject_name(&certificate), "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(name.data()),
                                 static_cast<int>(name.size()), -1, 0) != 1) {
    return openssl_failed("name a certificate");
  }
  return base::ok();
}

struct Extension {
  int nid;
  std::string value;
};
Result<void> add_extensions(X509& certificate, X509& issuer, const std::vector<Extension>& extensions) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, &issuer, &certificate, nullptr, nullptr, 0);
  for (const auto& [nid, value] : extensions) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    const bool added = extension != nullptr && X509_add_ext(&certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    if (!added) return openssl_failed("say what a certificate is for");
  }
  return base::ok();
}

/// All that both kinds of certificates have in common.
Result<net::CertificateHandle> begin_certificate(EVP_PKEY& key, const std::string& name, UnixSeconds now,
                                                 std::chrono::seconds life) {
  net::CertificateHandle certificate(X509_new());
  if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      X509_set_pubkey(certificate.get(), &key) != 1) {
    return openssl_failed("make a certificate");
  }
  TRY(set_random_serial(*certificate));
  TRY(set_validity(*certificate, now, life));
  TRY(set_common_name(*certificate, name));
  return certificate;
}

/// P-256, by its name: parameters that somebody else chose could describe another curve.
bool is_right_kind(const EVP_PKEY& key) {
  std::array<char, 32> group{};
  std::size_t size = 0;
  int is_explicit = 1;
  const bool fits =
      EVP_PKEY_is_a(&key, "EC") == 1 &&
      EVP_PKEY_get_group_name(&key, group.data(), group.size(), &size) == 1 &&
      std::string_view(group.data(), size) == kGroup &&
      EVP_PKEY_get_int_param(&key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &is_explicit) == 1 &&
      is_explicit == 0;
  ERR_clear_error();
  return fits;
}

Result<std::string> hash_of_key(EVP_PKEY& key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(&key, &der);
  if (size <= 0) return openssl_failed("read a public key");
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int digest_size = 0;
  const bool done = EVP_Digest(der, static_cast<std::size_t>(size), digest.data(), &digest_size, EVP_sha256(),
                               nullptr) == 1;
  OPENSSL_free(der);
  if (!done) return openssl_failed("hash a public key");
  return base::to_hex(std::as_bytes(std::span(digest).first(digest_size)));
}

Error bad_request(const char* why) {
  return {ErrorCode::kCertificate, fmt::format("the certificate request is refused: {}", why)};
}

}  // namespace

Result<Authority> make_authority(pg::SystemId system_id, UnixSeconds now) {
  const net::KeyHandle key(EVP_EC_gen("P-256"));
  if (!key) return openssl_failed("make a private key");
  const auto certificate =
      TRY(begin_certificate(*key, "standfast " + system_id.to_string(), now, kAuthorityLife));
  if (X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get())) != 1) {
    return openssl_failed("name a certificate");
  }
  TRY(add_extensions(*certificate, *certificate,
                     {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                      {NID_key_usage, "critical,keyCertSign,cRLSign"},
                      {NID_subject_key_identifier, "hash"}}));
  if (X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) return openssl_failed("sign a certificate");
  Secret key_text = TRY(pem_of(*key));
  return Authority{.certificate_pem = TRY(pem_of(*certificate)), .key_pem = std::move(key_text)};
}

Result<Secret> make_key() {
  const net::KeyHandle key(EVP_EC_gen("P-256"));
  if (!key) return openssl_failed("make a private key");
  return pem_of(*key);
}

Result<std::string> make_request(const Secret& key_pem) {
  const auto key = TRY(key_from(key_pem.reveal()));
  const net::RequestHandle request(X509_REQ_new());
  const auto buffer = new_buffer();
  if (!request || !buffer || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) == 0 ||
      PEM_write_bio_X509_REQ(buffer.get(), request.get()) != 1) {
    return openssl_failed("make a certificate request");
  }
  return text_in(*buffer);
}

Result<CheckedRequest> check_request(std::string_view request_pem) {
  if (request_pem.size() > kMaxPemBytes) return bad_request("it is too long");
  const auto buffer = buffer_over(request_pem);
  const net::RequestHandle request(PEM_read_bio_X509_REQ(buffer.get(), nullptr, no_passphrase, nullptr));
  net::KeyHandle key(request ? X509_REQ_get_pubkey(request.get()) : nullptr);
  ERR_clear_error();
  if (!request) return bad_request("it is none in PEM");
  if (!key || !is_right_kind(*key)) return bad_request("its key is not one of EC P-256");
  const bool is_proven = X509_REQ_verify(request.get(), key.get()) == 1;
  ERR_clear_error();
  if (!is_proven) return bad_request("it is not signed with its own key");
  std::string hash = TRY(hash_of_key(*key));
  return CheckedRequest{.key = std::move(key), .key_sha256 = std::move(hash)};
}

Result<SignedMember> sign_member(const Authority& authority, const CheckedRequest& request,
                                 const Member& member, UnixSeconds now) {
  CHECK(is_member_name(member.name));  // so that it is only a name where it stands in an extension's text
  const auto issuer = TRY(certificate_from(authority.certificate_pem));
  const auto key = TRY(key_from(authority.key_pem.reveal()));
  const auto certificate = TRY(begin_certificate(*request.key, member.name, now, kCertificateLife));
  if (X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer.get())) != 1) {
    return openssl_failed("name a certificate");
  }
  TRY(add_extensions(*certificate, *issuer,
                     {{NID_basic_constraints, "critical,CA:FALSE"},
                      {NID_key_usage, "critical,digitalSignature"},
                      {NID_ext_key_usage, "clientAuth,serverAuth"},
                      {NID_subject_key_identifier, "hash"},
                      {NID_authority_key_identifier, "keyid:always"},
                      {NID_subject_alt_name, "URI:" + uri_of(member)}}));
  if (X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) return openssl_failed("sign a certificate");
  CertificateFacts facts = TRY(facts_of(*certificate));
  return SignedMember{.certificate_pem = TRY(pem_of(*certificate)), .facts = std::move(facts)};
}

}  // namespace standfast::agent
