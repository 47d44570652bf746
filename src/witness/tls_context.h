// The certificate that a witness serves with, and its key; TLS 1.2 or newer (libpq/be-secure-openssl.c).
//
// Threading: any thread. Ownership: owns OpenSSL's context. Fails: kIo, kPermission (a key that others may
// read) and kCertificate.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/result.h"
#include "env/file_system.h"
#include "net/openssl.h"

namespace standfast::witness {

class TlsContext {
 public:
  struct Files {
    std::string certificate;  ///< PEM: the server's own, then those above it
    std::string key;          ///< without a passphrase
  };
  static base::Result<std::shared_ptr<const TlsContext>> open(env::FileSystem& files, const Files& names);

  /// What tls-server-end-point binds a login to; empty where the certificate's signature has no hash for it.
  const std::string& end_point_hash() const { return end_point_hash_; }
  SSL_CTX& get() const { return *context_; }

 private:
  TlsContext(net::TlsContextHandle context, std::string hash)
      : context_(std::move(context)), end_point_hash_(std::move(hash)) {}
  net::TlsContextHandle context_;
  std::string end_point_hash_;
};

}  // namespace standfast::witness
