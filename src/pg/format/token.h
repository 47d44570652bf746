// The join token: what a standby or a witness must know of its primary, as one word to copy.
// docs/formats/token.md.
//
//   standfast1.<base64url of json>.<CRC-32C of all before the second dot, 8 hex digits>
//
// Threading: pure functions on values. A token is a password: encoded it lives in a Secret.
// Fails: kToken, with a message that tells whether it is no token, cut off or mistyped, made by a newer
// version, or lacks a field; no message quotes any part of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "pg/format/lsn.h"

namespace standfast::pg {

/// Of what decode_token() is given, white space included.
inline constexpr std::size_t kMaxTokenBytes = 8192;
/// Of Token::ca_der, so that the rest has room.
inline constexpr std::size_t kMaxTokenCaBytes = 4000;
inline constexpr std::size_t kMaxTokenHostBytes = 255;    ///< of Token::agent
inline constexpr std::size_t kMaxTokenSecretBytes = 256;  ///< the same

/// A witness asks no questions of the database, so its token has no monitor.
enum class TokenKind : std::uint8_t { kStandby, kWitness };

/// How a standby becomes a member of the cluster (docs/formats/members.md): whom it asks, how it knows that
/// one, and what admits it there once.
struct TokenAgent {
  std::string host;
  std::uint16_t port = 0;
  std::string ca_sha256;  ///< of the cluster's certificate authority, 64 lower-case hex digits
  base::Secret secret;
  bool operator==(const TokenAgent&) const = default;
};

struct Token {
  TokenKind kind = TokenKind::kStandby;
  std::string host;
  std::uint16_t port = 5432;
  std::string replication_user;
  base::Secret replication_password;
  std::string slot;  ///< of a witness its application_name, too
  SystemId system_id;
  std::string monitor_user;  ///< the monitor's: "" in a witness's token
  base::Secret monitor_password;
  std::string monitor_database;
  std::optional<std::string> certificate_sha256;  ///< 64 lower-case hex digits; none: the server has no TLS
  /// Certificates, DER, one after the other, that the server's own needs to verify and the server does not
  /// send: that of its CA. "" when it sends all.
  std::string ca_der = {};
  std::optional<TokenAgent> agent = {};  ///< of a standby's token; none: the primary's host has no agent
  bool operator==(const Token&) const = default;
};

/// kToken if a part is empty, is not UTF-8, has control characters, or all is too long.
base::Result<base::Secret> encode_token(const Token& token);
/// White space around and inside is passed over: a terminal wraps long lines, and a paste keeps the breaks.
base::Result<Token> decode_token(std::string_view text);
/// Whether an argument holds a token, whole or not, so that the command line can refuse it.
bool looks_like_token(std::string_view text);

}  // namespace standfast::pg
