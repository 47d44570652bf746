#include "pg/client/certificate_chain.h"

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <utility>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <libpq-fe.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "base/bytes.h"

namespace standfast::client {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

template <typename Type, void (*free_it)(Type*)>
struct Free {
  void operator()(Type* object) const { free_it(object); }
};
using Certificate = std::unique_ptr<X509, Free<X509, X509_free>>;
using Store = std::unique_ptr<X509_STORE, Free<X509_STORE, X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Free<X509_STORE_CTX, X509_STORE_CTX_free>>;
using TlsContext = std::unique_ptr<SSL_CTX, Free<SSL_CTX, SSL_CTX_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES, GENERAL_NAMES_free>>;
struct FreeMemory {
  void operator()(BIO* memory) const { BIO_free(memory); }
};
using Memory = std::unique_ptr<BIO, FreeMemory>;

Memory memory_of(std::string_view text) {
  return Memory(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string content_of(BIO* memory) {
  char* text = nullptr;
  const long length = BIO_get_mem_data(memory, &text);
  return {text, static_cast<std::size_t>(length)};
}

Error no_certificate() {
  return {ErrorCode::kCertificate, "there is no certificate in it that can be read",
          "It has to be in PEM form, between BEGIN CERTIFICATE and END CERTIFICATE."};
}

/// Other things between the certificates (a key, text) are passed over.
Result<std::vector<Certificate>> certificates_of(std::string_view pem) {
  std::vector<Certificate> certificates;
  if (pem.size() > kMaxCertificateFileBytes) return no_certificate();
  const Memory memory = memory_of(pem);
  while (X509* next = PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr)) {
    certificates.emplace_back(next);
    if (certificates.size() > kMaxChainCertificates) {
      return Error(ErrorCode::kCertificate, "it has too many certificates",
                   "Leave in it those that lead from the server's own to its root.");
    }
  }
  const bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!is_end) return no_certificate();
  return certificates;
}

Result<std::vector<Certificate>> chain_of(std::string_view pem) {
  auto chain = TRY(certificates_of(pem));
  if (chain.empty()) return no_certificate();
  return chain;
}

std::string text_of(const X509_NAME* name) {
  const Memory memory(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(memory.get(), name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
  return content_of(memory.get());
}

std::string der_of(X509* certificate) {
  unsigned char* bytes = nullptr;
  const int length = i2d_X509(certificate, &bytes);
  std::string der(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(std::max(length, 0)));
  OPENSSL_free(bytes);
  return der;
}

std::optional<std::string> text_of(const GENERAL_NAME* name) {
  if (name->type == GEN_DNS) {
    return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                       static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
  }
  if (name->type != GEN_IPADD) return std::nullopt;
  const int size = ASN1_STRING_length(name->d.iPAddress);
  if (size != 4 && size != 16) return std::nullopt;
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(name->d.iPAddress), text.data(),
            text.size());
  return std::string(text.data());
}

/// Of subjectAltName; the common name only where there is none, as libpq reads it.
std::vector<std::string> names_of(X509* certificate) {
  std::vector<std::string> found;
  const Names names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    auto name = text_of(sk_GENERAL_NAME_value(names.get(), i));
    if (name && std::find(found.begin(), found.end(), *name) == found.end())
      found.push_back(*std::move(name));
  }
  if (!found.empty()) return found;
  std::array<char, 256> common_name{};
  if (X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, common_name.data(),
                                common_name.size()) > 0) {
    found.emplace_back(common_name.data());
  }
  return found;
}

ChainProblem problem_of(int error) {
  switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return ChainProblem::kNoIssuer;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return ChainProblem::kExpired;
    default:
      return ChainProblem::kUnfit;
  }
}

/// Every error of a verification, the first of each; the verification goes on after it.
using Findings = std::vector<ChainFinding>;

int note_error(int ok, X509_STORE_CTX* context) {
  if (ok == 1) return 1;
  auto* findings = static_cast<Findings*>(X509_STORE_CTX_get_app_data(context));
  const int error = X509_STORE_CTX_get_error(context);
  ChainFinding finding;
  finding.problem = problem_of(error);
  finding.reason = X509_verify_cert_error_string(error);
  if (X509* certificate = X509_STORE_CTX_get_current_cert(context)) {
    const bool is_issuer = finding.problem == ChainProblem::kNoIssuer;
    finding.certificate =
        text_of(is_issuer ? X509_get_issuer_name(certificate) : X509_get_subject_name(certificate));
  }
  findings->push_back(std::move(finding));
  return 1;
}

/// What no other certificate would mend comes first.
std::optional<ChainFinding> worst_of(const Findings& findings) {
  for (const ChainProblem problem : {ChainProblem::kExpired, ChainProblem::kUnfit, ChainProblem::kNoIssuer}) {
    for (const ChainFinding& finding : findings) {
      if (finding.problem == problem) return finding;
    }
  }
  return std::nullopt;
}

bool holds(const std::vector<Certificate>& certificates, const X509* certificate) {
  return std::any_of(certificates.begin(), certificates.end(),
                     [&](const Certificate& one) { return X509_cmp(one.get(), certificate) == 0; });
}

bool is_address(const std::string& host) {
  std::array<unsigned char, 16> address{};
  return inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

}  // namespace

Result<LeafCertificate> read_leaf(std::string_view pem) {
  const auto chain = TRY(chain_of(pem));
  X509* certificate = chain.front().get();
  LeafCertificate leaf;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int digest_bytes = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &digest_bytes) != 1) return no_certificate();
  leaf.sha256_hex = base::to_hex(std::as_bytes(std::span(digest).first(digest_bytes)));
  leaf.issuer = text_of(X509_get_issuer_name(certificate));
  leaf.is_self_signed = X509_self_signed(certificate, 1) == 1;
  leaf.is_alone = chain.size() == 1;
  leaf.names = names_of(certificate);
  return leaf;
}

Result<ChainVerdict> verify_chain(std::string_view sent_pem, std::string_view trusted_pem) {
  const auto sent = TRY(chain_of(sent_pem));
  const auto trusted = TRY(certificates_of(trusted_pem));
  const Store store(X509_STORE_new());
  const StoreContext context(X509_STORE_CTX_new());
  const TlsContext tls(SSL_CTX_new(TLS_client_method()));
  // It only borrows what is put into it.
  STACK_OF(X509)* untrusted = sk_X509_new_null();
  const std::unique_ptr<STACK_OF(X509), void (*)(STACK_OF(X509)*)> owner(
      untrusted, [](STACK_OF(X509) * stack) { sk_X509_free(stack); });
  if (!store || !context || !tls || !owner) return Error(ErrorCode::kFailed, "could not set OpenSSL up");
  for (const auto* list : {&sent, &trusted}) {
    for (const Certificate& certificate : *list) X509_STORE_add_cert(store.get(), certificate.get());
  }
  for (const Certificate& certificate : sent) sk_X509_push(untrusted, certificate.get());
  if (X509_STORE_CTX_init(context.get(), store.get(), sent.front().get(), untrusted) != 1) {
    return Error(ErrorCode::kFailed, "could not set OpenSSL up");
  }
  // As a TLS client of this host does it, with the weakest keys that its openssl.cnf lets pass.
  X509_STORE_CTX_set_default(context.get(), "ssl_server");
  X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(context.get()),
                                   SSL_CTX_get_security_level(tls.get()));
  Findings findings;
  X509_STORE_CTX_set_app_data(context.get(), &findings);
  X509_STORE_CTX_set_verify_cb(context.get(), note_error);
  const bool verified = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  ChainVerdict verdict;
  verdict.finding = worst_of(findings);
  if (!verified && !verdict.finding)
    verdict.finding = ChainFinding{ChainProblem::kUnfit, "", "it does not verify"};
  if (verdict.finding) return verdict;
  STACK_OF(X509)* chain = X509_STORE_CTX_get0_chain(context.get());
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    if (!holds(sent, sk_X509_value(chain, i))) verdict.missing_der += der_of(sk_X509_value(chain, i));
  }
  return verdict;
}

Result<bool> is_for_host(std::string_view pem, const std::string& host) {
  const auto chain = TRY(chain_of(pem));
  X509* certificate = chain.front().get();
  if (is_address(host)) return X509_check_ip_asc(certificate, host.c_str(), 0) == 1;
  return X509_check_host(certificate, host.data(), host.size(), 0, nullptr) == 1;
}

Result<std::string> pem_of_der(std::string_view der) {
  const Memory memory(BIO_new(BIO_s_mem()));
  const auto* next = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* end = next + der.size();
  while (next != end) {
    const Certificate certificate(d2i_X509(nullptr, &next, end - next));
    if (!certificate) {
      ERR_clear_error();
      return no_certificate();
    }
    PEM_write_bio_X509(memory.get(), certificate.get());
  }
  return content_of(memory.get());
}

Result<std::string> sslmode_for(std::string_view pem, const std::string& host, pg::Version libpq) {
  const bool compares = !is_address(host) || libpq.libpq_verifies_addresses();
  const bool is_full = compares && !TRY(read_leaf(pem)).is_self_signed && TRY(is_for_host(pem, host));
  return std::string(is_full ? "verify-full" : "verify-ca");
}

pg::Version own_libpq_version() {
  return pg::Version(PQlibVersion());
}

}  // namespace standfast::client
