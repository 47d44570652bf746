#include "setup/scram.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <openssl/evp.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "pg/client/scram_verifier.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::size_t kMaxPasswordBytes = 256;
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

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
  const auto verifier = client::parse_scram_verifier(text);
  if (!verifier) {
    return Error(ErrorCode::kProtocol,
                 "the stored password of role \"" + role + "\" is in a form that is not known",
                 "Set a new one with \"standfast primary setup --rotate-password\".");
  }
  return client::is_password_of(*verifier, password.reveal()) ? PasswordMatch::kYes : PasswordMatch::kNo;
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
