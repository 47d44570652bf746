// What a server keeps of a password, and the two functions that a SCRAM-SHA-256 exchange is made of
// (common/scram-common.c, libpq/auth-scram.c; RFC 5802, RFC 7677).
//
// Threading: pure functions. Ownership: values. Fails: no value for what is not well formed, and where
// OpenSSL refuses the algorithm.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace standfast::client {

/// A stored iteration count beyond this would keep whoever checks a password busy for minutes.
inline constexpr std::uint32_t kMaxScramIterations = 10'000'000;
/// What PostgreSQL makes verifiers with (common/scram-common.h).
inline constexpr std::uint32_t kScramIterations = 4096;
inline constexpr std::size_t kScramSaltBytes = 16;
inline constexpr std::string_view kScramVerifierPrefix = "SCRAM-SHA-256$";

using ScramKey = std::array<unsigned char, 32>;  // SHA-256
inline std::string_view as_text(const ScramKey& key) {
  return {reinterpret_cast<const char*>(key.data()), key.size()};
}

/// pg_authid.rolpassword: SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>
struct ScramVerifier {
  std::uint32_t iterations = 0;
  std::string salt;
  ScramKey stored_key = {};
  ScramKey server_key = {};
};
std::optional<ScramVerifier> parse_scram_verifier(std::string_view text);
std::string to_string(const ScramVerifier& verifier);
/// Of a password in printable ASCII, where SASLprep changes nothing.
std::optional<ScramVerifier> make_scram_verifier(std::string_view password, std::string_view salt,
                                                 std::uint32_t iterations);
bool is_password_of(const ScramVerifier& verifier, std::string_view password);

std::optional<ScramKey> hmac_sha256(std::string_view key, std::string_view text);
std::optional<ScramKey> sha256(std::string_view text);

/// Standard base64 with padding, as PostgreSQL writes it.
std::string to_base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text);

}  // namespace standfast::client
