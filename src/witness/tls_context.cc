#include "witness/tls_context.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>

#include "net/tls_channel.h"
#include "witness/private_file.h"

namespace standfast::witness {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

int no_passphrase(char* /*buffer*/, int /*size*/, int /*is_for_writing*/, void* /*data*/) {
  return -1;
}

Error unusable(const std::string& path, const char* what) {
  return {ErrorCode::kCertificate,
          fmt::format("\"{}\" is not {} that can be used: {}", path, what, net::take_openssl_error()),
          "It has to be PEM, and the key must have no passphrase."};
}

/// By the hash that the certificate was signed with, SHA-256 in place of weaker ones
/// (be_tls_get_certificate_hash()).
std::string hash_of(const X509* certificate) {
  int digest_id = NID_undef;
  if (X509_get_signature_info(const_cast<X509*>(certificate), &digest_id, nullptr, nullptr, nullptr) == 0) {
    ERR_clear_error();
    return "";
  }
  if (digest_id == NID_md5 || digest_id == NID_sha1) digest_id = NID_sha256;
  const EVP_MD* digest = EVP_get_digestbynid(digest_id);
  if (digest == nullptr) return "";
  std::string hash(EVP_MAX_MD_SIZE, '\0');
  unsigned int length = 0;
  if (X509_digest(certificate, digest, reinterpret_cast<unsigned char*>(hash.data()), &length) != 1) {
    ERR_clear_error();
    return "";
  }
  hash.resize(length);
  return hash;
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::open(env::FileSystem& files, const Files& names) {
  TRY(check_private_file(files, names.key));
  net::TlsContextHandle handle = TRY(net::new_tls_context(net::OldestTls::k12));
  SSL_CTX_set_default_passwd_cb(handle.get(), no_passphrase);
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(handle.get(), names.certificate.c_str()) != 1) {
    return unusable(names.certificate, "a certificate");
  }
  if (SSL_CTX_use_PrivateKey_file(handle.get(), names.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(handle.get()) != 1) {
    return unusable(names.key, "the certificate's key");
  }
  std::string hash = hash_of(SSL_CTX_get0_certificate(handle.get()));
  return std::shared_ptr<const TlsContext>(new TlsContext(std::move(handle), std::move(hash)));
}

}  // namespace standfast::witness
