// OpenSSL's objects as owned values, and its errors as text.
//
// Threading: any thread; OpenSSL keeps a queue of errors for each. Ownership: a handle frees what it holds.
#pragma once

#include <memory>
#include <string>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/result.h"

namespace standfast::net {

template <auto free_function>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    free_function(object);
  }
};
using KeyHandle = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using CertificateHandle = std::unique_ptr<X509, Free<X509_free>>;
using RequestHandle = std::unique_ptr<X509_REQ, Free<X509_REQ_free>>;
using RevokedListHandle = std::unique_ptr<X509_CRL, Free<X509_CRL_free>>;
using BufferHandle = std::unique_ptr<BIO, Free<BIO_free_all>>;
using NumberHandle = std::unique_ptr<BIGNUM, Free<BN_clear_free>>;
using IntegerHandle = std::unique_ptr<ASN1_INTEGER, Free<ASN1_INTEGER_free>>;
using TimeHandle = std::unique_ptr<ASN1_TIME, Free<ASN1_TIME_free>>;
using TlsContextHandle = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;

/// What OpenSSL says of its first failure since; its queue of errors is empty afterwards.
std::string take_openssl_error();
/// kFailed: "could not WHAT: ...".
base::Error openssl_failed(const char* what);

}  // namespace standfast::net
