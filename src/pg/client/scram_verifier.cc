#include "pg/client/scram_verifier.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace standfast::client {
namespace {

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::optional<ScramKey> key_of(std::string_view base64) {
  const auto bytes = from_base64(base64);
  ScramKey key{};
  if (!bytes || bytes->size() != key.size()) return std::nullopt;
  std::copy(bytes->begin(), bytes->end(), key.begin());
  return key;
}

}  // namespace

std::string to_base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes_of(bytes),
                                     static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(length));
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  constexpr std::size_t kMaxText = 4096;
  if (text.size() % 4 != 0 || text.empty() || text.size() > kMaxText) return std::nullopt;
  std::string out(text.size() / 4 * 3, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes_of(text),
                                     static_cast<int>(text.size()));
  const auto padding = std::count(text.end() - 2, text.end(), '=');
  if (length < padding) return std::nullopt;
  out.resize(static_cast<std::size_t>(length - padding));
  return out;
}

std::optional<ScramVerifier> parse_scram_verifier(std::string_view text) {
  if (!text.starts_with(kScramVerifierPrefix)) return std::nullopt;
  text.remove_prefix(kScramVerifierPrefix.size());
  const std::size_t colon = text.find(':');
  const std::size_t dollar = text.find('$');
  if (colon == std::string_view::npos || dollar == std::string_view::npos || dollar < colon)
    return std::nullopt;
  ScramVerifier verifier;
  const auto parsed = std::from_chars(text.data(), text.data() + colon, verifier.iterations);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + colon) return std::nullopt;
  if (verifier.iterations == 0 || verifier.iterations > kMaxScramIterations) return std::nullopt;
  const auto salt = from_base64(text.substr(colon + 1, dollar - colon - 1));
  const std::string_view keys = text.substr(dollar + 1);
  const std::size_t between = keys.find(':');
  if (!salt || between == std::string_view::npos) return std::nullopt;
  const auto stored_key = key_of(keys.substr(0, between));
  const auto server_key = key_of(keys.substr(between + 1));
  if (!stored_key || !server_key) return std::nullopt;
  verifier.salt = *salt;
  verifier.stored_key = *stored_key;
  verifier.server_key = *server_key;
  return verifier;
}

std::string to_string(const ScramVerifier& verifier) {
  return fmt::format("{}{}:{}${}:{}", kScramVerifierPrefix, verifier.iterations, to_base64(verifier.salt),
                     to_base64(as_text(verifier.stored_key)), to_base64(as_text(verifier.server_key)));
}

std::optional<ScramVerifier> make_scram_verifier(std::string_view password, std::string_view salt,
                                                 std::uint32_t iterations) {
  ScramKey salted{};
  if (PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), bytes_of(salt),
                        static_cast<int>(salt.size()), static_cast<int>(iterations), EVP_sha256(),
                        static_cast<int>(salted.size()), salted.data()) != 1) {
    return std::nullopt;
  }
  auto client_key = hmac_sha256(as_text(salted), "Client Key");
  const auto server_key = hmac_sha256(as_text(salted), "Server Key");
  OPENSSL_cleanse(salted.data(), salted.size());
  if (!client_key || !server_key) return std::nullopt;
  const auto stored_key = sha256(as_text(*client_key));
  OPENSSL_cleanse(client_key->data(), client_key->size());
  if (!stored_key) return std::nullopt;
  return ScramVerifier{iterations, std::string(salt), *stored_key, *server_key};
}

bool is_password_of(const ScramVerifier& verifier, std::string_view password) {
  const auto made = make_scram_verifier(password, verifier.salt, verifier.iterations);
  return made &&
         CRYPTO_memcmp(made->stored_key.data(), verifier.stored_key.data(), made->stored_key.size()) == 0;
}

std::optional<ScramKey> hmac_sha256(std::string_view key, std::string_view text) {
  ScramKey result{};
  unsigned int length = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes_of(text), text.size(), result.data(),
           &length) == nullptr) {
    return std::nullopt;
  }
  return result;
}

std::optional<ScramKey> sha256(std::string_view text) {
  ScramKey result{};
  unsigned int length = 0;
  if (EVP_Digest(text.data(), text.size(), result.data(), &length, EVP_sha256(), nullptr) != 1) {
    return std::nullopt;
  }
  return result;
}

}  // namespace standfast::client
