#include "pg/server/server_certificate_maker.h"

#include <array>
#include <memory>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/secret.h"

namespace standfast::server {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Secret;

template <auto free_function>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    free_function(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;
using Buffer = std::unique_ptr<BIO, Free<BIO_free_all>>;

constexpr int kSerialBits = 159;  ///< at most 20 octets, positive (RFC 5280 4.1.2.2)
constexpr int kSecondsInDay = 86'400;
/// The subject's longest common name (RFC 5280 ub-common-name).
constexpr std::size_t kMaxCommonNameBytes = 64;

Error openssl_failed(const char* what) {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  return {ErrorCode::kFailed, fmt::format("could not {}: {}", what, text.data())};
}

Result<void> set_validity_and_serial(X509& certificate, int valid_days) {
  const std::unique_ptr<BIGNUM, Free<BN_clear_free>> serial(BN_new());
  const bool done = serial && BN_rand(serial.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
                    BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(&certificate)) != nullptr &&
                    // A day early, for a client whose clock is behind.
                    X509_gmtime_adj(X509_getm_notBefore(&certificate), -kSecondsInDay) != nullptr &&
                    X509_time_adj_ex(X509_getm_notAfter(&certificate), valid_days, 0, nullptr) != nullptr;
  if (!done) return openssl_failed("date a certificate");
  return base::ok();
}

Result<void> set_names(X509& certificate, const std::string& common_name) {
  const std::string name = common_name.substr(0, kMaxCommonNameBytes);
  X509_NAME* subject = X509_get_subject_name(&certificate);
  const auto* bytes = reinterpret_cast<const unsigned char*>(name.data());
  const bool done = X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, bytes,
                                               static_cast<int>(name.size()), -1, 0) == 1 &&
                    X509_set_issuer_name(&certificate, subject) == 1;
  if (!done) return openssl_failed("name a certificate");
  return base::ok();
}

Result<void> add_name(GENERAL_NAMES& names, int type, std::string_view bytes) {
  ASN1_STRING* text = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
  GENERAL_NAME* name = GENERAL_NAME_new();
  if (text == nullptr || name == nullptr ||
      ASN1_STRING_set(text, bytes.data(), static_cast<int>(bytes.size())) != 1) {
    ASN1_STRING_free(text);
    GENERAL_NAME_free(name);
    return openssl_failed("add a name to a certificate");
  }
  GENERAL_NAME_set0_value(name, type, text);
  if (sk_GENERAL_NAME_push(&names, name) == 0) {
    GENERAL_NAME_free(name);
    return openssl_failed("add a name to a certificate");
  }
  return base::ok();
}

Result<std::string> address_octets(const std::string& address) {
  std::array<char, 16> octets{};
  if (inet_pton(AF_INET, address.c_str(), octets.data()) == 1) return std::string(octets.data(), 4);
  if (inet_pton(AF_INET6, address.c_str(), octets.data()) == 1) return std::string(octets.data(), 16);
  return Error(ErrorCode::kUsage, fmt::format("\"{}\" is not an IP address", address),
               "Give the addresses at which standbys reach this server.");
}

Result<void> set_alternative_names(X509& certificate, const CertificateOptions& options) {
  const Names names(GENERAL_NAMES_new());
  if (!names) return openssl_failed("add names to a certificate");
  for (const std::string& name : options.dns_names) TRY(add_name(*names, GEN_DNS, name));
  for (const std::string& address : options.addresses) {
    TRY(add_name(*names, GEN_IPADD, TRY(address_octets(address))));
  }
  if (sk_GENERAL_NAME_num(names.get()) == 0) return base::ok();
  if (X509_add1_ext_i2d(&certificate, NID_subject_alt_name, names.get(), 0, 0) != 1) {
    return openssl_failed("add names to a certificate");
  }
  return base::ok();
}

/// Its own authority, and of nothing below it.
Result<void> set_uses(X509& certificate) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, &certificate, &certificate, nullptr, nullptr, 0);
  constexpr std::array<std::pair<int, const char*>, 5> kExtensions = {{
      {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
      {NID_key_usage, "critical,digitalSignature,keyCertSign"},
      {NID_ext_key_usage, "serverAuth"},
      {NID_subject_key_identifier, "hash"},
      {NID_authority_key_identifier, "keyid:always"},
  }};
  for (const auto& [nid, value] : kExtensions) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
    const bool added = extension != nullptr && X509_add_ext(&certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    if (!added) return openssl_failed("say what a certificate is for");
  }
  return base::ok();
}

Result<Certificate> make_certificate(EVP_PKEY& key, const CertificateOptions& options) {
  Certificate certificate(X509_new());
  if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      X509_set_pubkey(certificate.get(), &key) != 1) {
    return openssl_failed("make a certificate");
  }
  TRY(set_validity_and_serial(*certificate, options.valid_days));
  TRY(set_names(*certificate, options.common_name));
  TRY(set_uses(*certificate));
  TRY(set_alternative_names(*certificate, options));
  if (X509_sign(certificate.get(), &key, EVP_sha256()) == 0) return openssl_failed("sign a certificate");
  return certificate;
}

Result<std::string> certificate_pem(X509& certificate) {
  const Buffer buffer(BIO_new(BIO_s_mem()));
  char* data = nullptr;
  if (!buffer || PEM_write_bio_X509(buffer.get(), &certificate) != 1)
    return openssl_failed("write a certificate");
  const long size = BIO_get_mem_data(buffer.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

Result<Secret> key_pem(EVP_PKEY& key) {
  // secmem wipes what it held.
  const Buffer buffer(BIO_new(BIO_s_secmem()));
  char* data = nullptr;
  if (!buffer || PEM_write_bio_PrivateKey(buffer.get(), &key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return openssl_failed("write a private key");
  }
  const long size = BIO_get_mem_data(buffer.get(), &data);
  return Secret(std::string(data, static_cast<std::size_t>(size)));
}

Result<std::string> fingerprint(const X509& certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (X509_digest(&certificate, EVP_sha256(), digest.data(), &size) != 1) {
    return openssl_failed("read a certificate");
  }
  return base::to_hex(std::as_bytes(std::span(digest).first(size)));
}

Result<void> refuse_existing(env::FileSystem& files, const std::string& path) {
  if (!TRY(files.inspect(path))) return base::ok();
  return Error(ErrorCode::kInUse, fmt::format("\"{}\" is there already", path),
               "It is left as it is; use it, or move it away.");
}

/// Fails rather than replace a file; leaves none behind that is not whole.
Result<void> write_new(env::FileSystem& files, const std::string& path, std::string_view content,
                       mode_t mode) {
  auto file = TRY(files.create(path, mode, env::OnExisting::kFail));
  const auto write = [&]() -> Result<void> {
    TRY(file->write_at(0, base::as_bytes(content)));
    TRY(file->sync());
    TRY(file->close());
    return files.sync_directory(env::parent_of(path));
  };
  auto written = write();
  if (!written) static_cast<void>(files.remove_file(path));
  return written;
}

}  // namespace

Result<NewCertificate> make_self_signed_certificate(const CertificateOptions& options) {
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return openssl_failed("make a private key");
  const Certificate certificate = TRY(make_certificate(*key, options));
  return NewCertificate{.certificate_pem = TRY(certificate_pem(*certificate)),
                        .key_pem = TRY(key_pem(*key)),
                        .sha256_hex = TRY(fingerprint(*certificate))};
}

Result<CertificateFiles> make_server_certificate(env::FileSystem& files, const std::string& directory,
                                                 const CertificateOptions& options) {
  CertificateFiles result{directory + "/server.crt", directory + "/server.key", ""};
  TRY(refuse_existing(files, result.certificate));
  TRY(refuse_existing(files, result.key));
  const NewCertificate made = TRY(make_self_signed_certificate(options));
  result.sha256_hex = made.sha256_hex;
  TRY(write_new(files, result.key, made.key_pem.reveal(), 0600));
  if (auto written = write_new(files, result.certificate, made.certificate_pem, 0644); !written) {
    static_cast<void>(files.remove_file(result.key));
    return std::move(written).error();
  }
  return result;
}

}  // namespace standfast::server
