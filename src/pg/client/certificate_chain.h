// The certificates of a server, judged as the libpq of a standby will judge them once it trusts nothing but
// what it was given (fe-secure-openssl.c: sslrootcert is loaded as the only trust store, no partial chains).
//
// Threading: pure functions on values. Fails with kCertificate for a text without a readable certificate.
// Names are OpenSSL's one-line form; no private key is ever read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pg/format/versions.h"

namespace standfast::client {

/// Larger than any chain a server sends; more than kMaxChainCertificates of it are refused.
inline constexpr std::uint64_t kMaxCertificateFileBytes = std::uint64_t{1} << 20U;
inline constexpr int kMaxChainCertificates = 64;

/// Of the first certificate of a PEM text, which is the server's own.
struct LeafCertificate {
  std::string sha256_hex;  ///< of the DER form
  std::string issuer;
  bool is_self_signed = false;
  bool is_alone = true;            ///< no other certificate follows in the text
  std::vector<std::string> names;  ///< host names and addresses it is for, without repeats
};
base::Result<LeafCertificate> read_leaf(std::string_view pem);

enum class ChainProblem : std::uint8_t {
  kNoIssuer,  ///< neither the server nor what is trusted has the certificate of an issuer
  kExpired,   ///< or not valid yet
  kUnfit,     ///< too weak a key or signature, not for a server, not a CA's
};
struct ChainFinding {
  ChainProblem problem = ChainProblem::kUnfit;
  std::string certificate;  ///< the one it is about; for kNoIssuer the missing issuer
  std::string reason;       ///< OpenSSL's words
};
struct ChainVerdict {
  std::optional<ChainFinding> finding;  ///< none: it verifies
  std::string missing_der;              ///< certificates of the chain that the server does not send, DER
};
/// `sent_pem` is what the server sends, its own certificate first; `trusted_pem` what a standby is given
/// beside it, which may hold more than is needed.
base::Result<ChainVerdict> verify_chain(std::string_view sent_pem, std::string_view trusted_pem);

/// Whether the first certificate is for this host name or address (X509_check_host, X509_check_ip).
base::Result<bool> is_for_host(std::string_view pem, const std::string& host);

/// DER certificates one after the other, as PEM.
base::Result<std::string> pem_of_der(std::string_view der);

/// "verify-full" where the first certificate was issued by a CA, which vouches for other servers too, and is
/// for this host as far as that libpq compares; else "verify-ca", which for a self-signed one means just it.
base::Result<std::string> sslmode_for(std::string_view pem, const std::string& host, pg::Version libpq);
pg::Version own_libpq_version();

}  // namespace standfast::client
