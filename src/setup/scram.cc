#include "setup/scram.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <vector>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include "base/bytes.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::size_t kKeyBytes = 32;  // SHA-256
constexpr std::size_t kMaxPasswordBytes = 256;
constexpr std::string_view kScramPrefix = "SCRAM-SHA-256$";
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

using Key = std::array<unsigned char, kKeyBytes>;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

/// Standard base64 with padding, as PostgreSQL writes it.
std::optional<std::string> from_base64(std::string_view text) {
  constexpr std::size_t kMaxText = 4096;
  if (text.size() % 4 != 0 || text.empty() || text.size() > kMaxText) return std::nullopt;
  std::string out(text.size() / 4 * 3, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes_of(text),
                                     static_cast<int>(text.size()));
  if (length < 0) return std::nullopt;
  const auto padding = static_cast<std::size_t>(std::count(text.end() - 2, text.end(), '='));
  out.resize(static_cast<std::size_t>(length) - padding);
  return out;
}

struct Verifier {
  std::uint32_t iterations = 0;
  std::string salt;
  std::string stored_key;
};

/// SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>
std::optional<Verifier> parse_verifier(std::string_view text) {
  if (!text.starts_with(kScramPrefix)) return std::nullopt;
  text.remove_prefix(kScramPrefix.size());
  const std::size_t colon = text.find(':');
  const std::size_t dollar = text.find('$');
  if (colon == std::string_view::npos || dollar == std::string_view::npos || dollar < colon)
    return std::nullopt;
  Verifier verifier;
  const auto parsed = std::from_chars(text.data(), text.data() + colon, verifier.iterations);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + colon) return std::nullopt;
  if (verifier.iterations == 0 || verifier.iterations > kMaxScramIterations) return std::nullopt;
  const auto salt = from_base64(text.substr(colon + 1, dollar - colon - 1));
  const std::string_view keys = text.substr(dollar + 1);
  const auto stored_key = from_base64(keys.substr(0, keys.find(':')));
  if (!salt || !stored_key || stored_key->size() != kKeyBytes) return std::nullopt;
  verifier.salt = *salt;
  verifier.stored_key = *stored_key;
  return verifier;
}

bool matches_scram(const Verifier& verifier, const std::string& password) {
  Key salted{};
  Key client_key{};
  Key stored_key{};
  unsigned int length = 0;
  const bool computed =
      PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), bytes_of(verifier.salt),
                        static_cast<int>(verifier.salt.size()), static_cast<int>(verifier.iterations),
                        EVP_sha256(), kKeyBytes, salted.data()) == 1 &&
      HMAC(EVP_sha256(), salted.data(), kKeyBytes, bytes_of("Client Key"), 10, client_key.data(), &length) !=
          nullptr &&
      EVP_Digest(client_key.data(), kKeyBytes, stored_key.data(), &length, EVP_sha256(), nullptr) == 1;
  const bool same = computed && CRYPTO_memcmp(stored_key.data(), verifier.stored_key.data(), kKeyBytes) == 0;
  OPENSSL_cleanse(salted.data(), salted.size());
  OPENSSL_cleanse(client_key.data(), client_key.size());
  return same;
}

/// "md5" and the hash of password and role name; servers before 14 store this by default.
bool matches_md5(const std::string& stored, const std::string& role, const std::string& password) {
  base::Secret input(password + role);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  if (EVP_Digest(input.reveal().data(), input.reveal().size(), digest.data(), &length, EVP_md5(), nullptr) !=
      1) {
    return false;
  }
  return stored == "md5" + base::to_hex(std::as_bytes(std::span(digest).first(length)));
}

}  // namespace

Result<PasswordMatch> match_password(const base::Secret& stored, const std::string& role,
                                     const base::Secret& password) {
  const std::string& text = stored.reveal();
  if (text.empty()) return PasswordMatch::kNo;
  if (text.starts_with("md5")) {
    return matches_md5(text, role, password.reveal()) ? PasswordMatch::kYesAsMd5 : PasswordMatch::kNo;
  }
  const auto verifier = parse_verifier(text);
  if (!verifier) {
    return Error(ErrorCode::kProtocol,
                 "the stored password of role \"" + role + "\" is in a form that is not known",
                 "Set a new one with \"standfast primary setup --rotate-password\".");
  }
  return matches_scram(*verifier, password.reveal()) ? PasswordMatch::kYes : PasswordMatch::kNo;
}

Result<base::Secret> new_password() {
  // Bytes that would make the first letters of the alphabet likelier than the last are drawn again.
  constexpr unsigned kUnbiased = 256 / kAlphabet.size() * kAlphabet.size();
  std::string password;
  password.reserve(kPasswordLength);
  while (password.size() < kPasswordLength) {
    unsigned char byte = 0;
    if (getrandom(&byte, 1, 0) != 1) return base::error_from_errno(errno, "could not get random bytes");
    if (byte < kUnbiased) password += kAlphabet[byte % kAlphabet.size()];
  }
  return base::Secret(std::move(password));
}

Result<void> check_password(const base::Secret& password) {
  const std::string& text = password.reveal();
  const bool printable = std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (!text.empty() && text.size() <= kMaxPasswordBytes && printable && text.front() != ' ' &&
      text.back() != ' ') {
    return base::ok();
  }
  return Error(
      ErrorCode::kUsage, "the password cannot be used",
      "Choose up to 256 letters, digits and signs of ASCII, on one line, without blanks at the ends; "
      "or leave it out, and a good one is made.");
}

}  // namespace standfast::setup
