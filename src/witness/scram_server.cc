#include "witness/scram_server.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <sys/random.h>

#include "witness/private_file.h"

namespace standfast::witness {

using base::Result;

namespace {

constexpr std::size_t kNonceBytes = 18;  // SCRAM_RAW_NONCE_LEN
constexpr std::size_t kSaltBytes = 16;   // SCRAM_DEFAULT_SALT_LEN
constexpr std::size_t kSecretBytes = 32;
constexpr std::string_view kSecretFile = "standfast.salts";
constexpr std::uint64_t kMaxSecretFileBytes = 4096;
constexpr std::string_view kPlusMechanism = "SCRAM-SHA-256-PLUS";
constexpr std::string_view kBindingFlag = "p=tls-server-end-point";

Result<std::string> random_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  // Up to 256 bytes come whole or not at all.
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(count)) {
    return base::error_from_errno(errno, "could not get random bytes");
  }
  return bytes;
}

/// Takes "NAME=VALUE" and the comma behind it off the front.
std::optional<std::string_view> take_attribute(std::string_view& rest, char name) {
  if (rest.size() < 2 || rest[0] != name || rest[1] != '=') return std::nullopt;
  const std::size_t comma = rest.find(',');
  const std::string_view value = rest.substr(2, comma == std::string_view::npos ? comma : comma - 2);
  rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
  return value;
}

bool is_nonce(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

}  // namespace

Result<ScramSecret> ScramSecret::kept_in(env::FileSystem& files, const std::string& folder) {
  const std::string path = fmt::format("{}/{}", folder, kSecretFile);
  if (!TRY(files.inspect(path))) {
    std::string made = TRY(random_bytes(kSecretBytes));
    TRY(env::write_file_durably(files, path, client::to_base64(made) + "\n", {.mode = 0600}));
    return ScramSecret(base::Secret(std::move(made)));
  }
  TRY(check_private_file(files, path));
  std::string text = TRY(env::read_whole_file(files, path, kMaxSecretFileBytes));
  if (text.ends_with('\n')) text.pop_back();
  auto bytes = client::from_base64(text);
  if (bytes && bytes->size() == kSecretBytes) return ScramSecret(base::Secret(*std::move(bytes)));
  return base::Error(base::ErrorCode::kProtocol, fmt::format("\"{}\" is not understood", path),
                     "Remove it: the next start makes a new one.");
}

std::optional<client::ScramVerifier> ScramSecret::verifier_for(std::string_view user,
                                                               std::uint32_t iterations) const {
  const auto salt = client::hmac_sha256(bytes_.reveal(), user);
  if (!salt) return std::nullopt;
  return client::ScramVerifier{.iterations = iterations,
                               .salt = std::string(client::as_text(*salt).substr(0, kSaltBytes))};
}

Result<std::string> make_scram_nonce() {
  return client::to_base64(TRY(random_bytes(kNonceBytes)));
}

ScramExchange::ScramExchange(const ScramUsers& users, const ScramSecret& secret, Options options)
    : options_(std::move(options)) {
  auto made_up = secret.verifier_for(options_.user, users.usual_iterations());
  const client::ScramVerifier* known = users.find(options_.user);
  is_known_ = known != nullptr;
  verifier_ = is_known_ ? std::optional(*known) : std::move(made_up);
}

/// What the client says of channel binding has to fit what it was offered: otherwise somebody in between has
/// changed the offer.
bool ScramExchange::accepts_binding(std::string_view flag) const {
  if (options_.mechanism == kPlusMechanism) return !options_.end_point_hash.empty() && flag == kBindingFlag;
  return flag == "n" || (flag == "y" && options_.end_point_hash.empty());
}

std::optional<std::string> ScramExchange::challenge(std::string_view client_first) {
  // gs2-header: the flag, and the name that is acted for, which has to be empty.
  const std::size_t comma = client_first.find(',');
  if (comma == std::string_view::npos || client_first.find('\0') != std::string_view::npos)
    return std::nullopt;
  if (!accepts_binding(client_first.substr(0, comma))) return std::nullopt;
  if (!client_first.substr(comma).starts_with(",,")) return std::nullopt;
  gs2_header_ = client_first.substr(0, comma + 2);
  std::string_view rest = client_first.substr(comma + 2);
  client_first_bare_ = rest;
  if (!take_attribute(rest, 'n')) return std::nullopt;
  const auto client_nonce = take_attribute(rest, 'r');
  if (!client_nonce || !is_nonce(*client_nonce) || !verifier_) return std::nullopt;
  nonce_ = std::string(*client_nonce) + options_.nonce;
  server_first_ =
      fmt::format("r={},s={},i={}", nonce_, client::to_base64(verifier_->salt), verifier_->iterations);
  return server_first_;
}

std::optional<std::string> ScramExchange::verdict(std::string_view client_final) const {
  if (server_first_.empty()) return std::nullopt;
  const std::size_t proof_at = client_final.rfind(",p=");
  if (proof_at == std::string_view::npos) return std::nullopt;
  const std::string_view without_proof = client_final.substr(0, proof_at);
  const auto proof = client::from_base64(client_final.substr(proof_at + 3));
  std::string_view rest = without_proof;
  const auto binding = take_attribute(rest, 'c');
  const auto nonce = take_attribute(rest, 'r');
  const bool is_plus = options_.mechanism == kPlusMechanism;
  if (!proof || proof->size() != client::ScramKey().size() || nonce != nonce_ ||
      binding != client::to_base64(gs2_header_ + (is_plus ? options_.end_point_hash : ""))) {
    return std::nullopt;
  }
  const std::string message = fmt::format("{},{},{}", client_first_bare_, server_first_, without_proof);
  const auto client_signature = client::hmac_sha256(client::as_text(verifier_->stored_key), message);
  const auto server_signature = client::hmac_sha256(client::as_text(verifier_->server_key), message);
  if (!client_signature || !server_signature) return std::nullopt;
  client::ScramKey client_key{};
  for (std::size_t i = 0; i < client_key.size(); ++i) {
    client_key[i] =
        static_cast<unsigned char>((*client_signature)[i] ^ static_cast<unsigned char>((*proof)[i]));
  }
  const auto stored_key = client::sha256(client::as_text(client_key));
  const bool is_right =
      stored_key && CRYPTO_memcmp(stored_key->data(), verifier_->stored_key.data(), stored_key->size()) == 0;
  if (!is_right || !is_known_) return std::nullopt;
  return "v=" + client::to_base64(client::as_text(*server_signature));
}

}  // namespace standfast::witness
