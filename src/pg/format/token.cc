#include "pg/format/token.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/crc32c.h"

namespace standfast::pg {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Secret;
using Json = nlohmann::ordered_json;

constexpr std::string_view kWord = "standfast";
constexpr int kTokenVersion = 1;
constexpr std::size_t kCrcDigits = 8;
constexpr std::size_t kFingerprintDigits = 64;

// The keys are short because a person may have to copy them. docs/formats/token.md.
constexpr const char* kVersionKey = "v";
constexpr const char* kHostKey = "h";
constexpr const char* kPortKey = "p";
constexpr const char* kReplicationUserKey = "u";
constexpr const char* kReplicationPasswordKey = "w";
constexpr const char* kSlotKey = "s";
constexpr const char* kSystemIdKey = "i";
constexpr const char* kMonitorUserKey = "mu";
constexpr const char* kMonitorPasswordKey = "mw";
constexpr const char* kMonitorDatabaseKey = "md";
constexpr const char* kFingerprintKey = "f";
constexpr const char* kCaKey = "c";
constexpr const char* kKindKey = "k";
constexpr const char* kWitnessKind = "witness";
constexpr const char* kAgentHostKey = "ah";
constexpr const char* kAgentPortKey = "ap";
constexpr const char* kAgentFingerprintKey = "af";
constexpr const char* kAgentSecretKey = "as";

Error bad_token(std::string_view what, std::string_view hint) {
  return Error(ErrorCode::kToken, std::string(what), std::string(hint));
}

Error not_a_token() {
  return bad_token(
      "this is not a token of standfast",
      "Copy the whole line that \"standfast primary setup\" printed, or give the file it wrote.");
}

Error mistyped() {
  return bad_token(
      "the token is cut off or mistyped: its checksum does not match",
      "Copy it again, the whole of it, or give the file that \"standfast primary setup\" wrote.");
}

Error newer_version() {
  return bad_token("the token was made by a newer version of standfast",
                   "Install the same version of standfast on both hosts.");
}

Error missing_field(std::string_view field) {
  return bad_token(fmt::format("the token has no valid {}", field),
                   "Run \"standfast primary setup\" again for a new one.");
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
bool is_base64url(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}
bool is_lower_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f');
}

/// What a value may be: something, and free of control characters, which no host, name or password here needs
/// and which a terminal would not show.
bool is_presentable(std::string_view text) {
  return !text.empty() && std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
}

bool is_fingerprint(std::string_view text) {
  return text.size() == kFingerprintDigits && std::all_of(text.begin(), text.end(), is_lower_hex);
}

std::string crc_of(std::string_view text) {
  base::Crc32c crc;
  crc.update(base::as_bytes(text));
  return fmt::format("{:08x}", crc.value());
}

Result<void> check_agent(const Token& token) {
  if (!token.agent) return base::ok();
  const TokenAgent& agent = *token.agent;
  const std::string& secret = agent.secret.reveal();
  if (token.kind != TokenKind::kStandby) return missing_field("agent: a witness has none");
  if (!is_presentable(agent.host) || agent.host.size() > kMaxTokenHostBytes) {
    return missing_field("host of the agent");
  }
  if (agent.port == 0) return missing_field("port of the agent");
  if (!is_fingerprint(agent.ca_sha256)) return missing_field("fingerprint of the certificate authority");
  if (secret.empty() || secret.size() > kMaxTokenSecretBytes ||
      !std::all_of(secret.begin(), secret.end(), is_base64url)) {
    return missing_field("secret for the agent");
  }
  return base::ok();
}

Result<void> check_fields(const Token& token) {
  constexpr std::size_t kOfEveryKind = 4;
  const std::array<std::pair<std::string_view, std::string_view>, 7> fields = {{
      {token.host, "host"},
      {token.replication_user, "replication user"},
      {token.replication_password.reveal(), "replication password"},
      {token.slot, "slot"},
      {token.monitor_user, "monitor user"},
      {token.monitor_password.reveal(), "monitor password"},
      {token.monitor_database, "monitor database"},
  }};
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto& [value, name] = fields[i];
    const bool is_needed = i < kOfEveryKind || token.kind == TokenKind::kStandby;
    if (is_needed ? !is_presentable(value) : !value.empty()) return missing_field(name);
  }
  if (token.port == 0) return missing_field("port");
  if (token.system_id.value() == 0) return missing_field("system identifier");
  if (token.certificate_sha256 && !is_fingerprint(*token.certificate_sha256)) {
    return missing_field("certificate fingerprint");
  }
  if (token.ca_der.size() > kMaxTokenCaBytes || (!token.ca_der.empty() && !token.certificate_sha256)) {
    return missing_field("certificate of a CA");
  }
  return check_agent(token);
}

/// The three parts of a token, after its word: version, payload, checksum.
struct Parts {
  std::uint64_t version = 0;
  std::string_view payload;
  std::string_view crc;
  std::string_view covered;  ///< all before the second dot
};

/// Only the word and the version are needed to be a token; the rest may be cut off.
std::optional<Parts> split(std::string_view text) {
  if (!text.starts_with(kWord)) return std::nullopt;
  std::size_t dot = kWord.size();
  while (dot < text.size() && is_digit(text[dot])) ++dot;
  if (dot == kWord.size() || dot >= text.size() || text[dot] != '.') return std::nullopt;
  Parts parts;
  const auto [end, error] = std::from_chars(text.data() + kWord.size(), text.data() + dot, parts.version);
  if (error != std::errc()) parts.version = std::numeric_limits<std::uint64_t>::max();
  static_cast<void>(end);
  const std::size_t second_dot = text.find('.', dot + 1);
  parts.covered = text.substr(0, second_dot);
  parts.payload = parts.covered.substr(dot + 1);
  if (second_dot != std::string_view::npos) parts.crc = text.substr(second_dot + 1);
  return parts;
}

Result<std::string> text_field(const Json& json, const char* key, std::string_view name) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_string()) return missing_field(name);
  return found->get<std::string>();
}

Result<std::uint16_t> port_field(const Json& json, const char* key, std::string_view name) {
  const auto port = json.find(key);
  if (port == json.end() || !port->is_number_unsigned() ||
      port->get<std::uint64_t>() > std::numeric_limits<std::uint16_t>::max()) {
    return missing_field(name);
  }
  return port->get<std::uint16_t>();
}

/// All of its fields, or none.
Result<std::optional<TokenAgent>> agent_from_json(const Json& json) {
  const std::array<const char*, 4> keys = {kAgentHostKey, kAgentPortKey, kAgentFingerprintKey,
                                           kAgentSecretKey};
  if (std::none_of(keys.begin(), keys.end(), [&](const char* key) { return json.contains(key); })) {
    return std::optional<TokenAgent>();
  }
  TokenAgent agent;
  agent.host = TRY(text_field(json, kAgentHostKey, "host of the agent"));
  agent.port = TRY(port_field(json, kAgentPortKey, "port of the agent"));
  agent.ca_sha256 = TRY(text_field(json, kAgentFingerprintKey, "fingerprint of the certificate authority"));
  agent.secret = Secret(TRY(text_field(json, kAgentSecretKey, "secret for the agent")));
  return std::optional(std::move(agent));
}

Result<Token> token_from_json(const Json& json) {
  const auto version = json.find(kVersionKey);
  if (version == json.end() || !version->is_number_unsigned()) return missing_field("version");
  if (version->get<std::uint64_t>() > kTokenVersion) return newer_version();
  if (version->get<std::uint64_t>() != kTokenVersion) return missing_field("version");
  Token token;
  token.host = TRY(text_field(json, kHostKey, "host"));
  token.port = TRY(port_field(json, kPortKey, "port"));
  token.replication_user = TRY(text_field(json, kReplicationUserKey, "replication user"));
  token.replication_password = Secret(TRY(text_field(json, kReplicationPasswordKey, "replication password")));
  token.slot = TRY(text_field(json, kSlotKey, "slot"));
  const auto system_id = SystemId::parse(TRY(text_field(json, kSystemIdKey, "system identifier")));
  if (!system_id) return missing_field("system identifier");
  token.system_id = *system_id;
  if (json.contains(kKindKey)) {
    if (TRY(text_field(json, kKindKey, "kind")) != kWitnessKind) return newer_version();
    token.kind = TokenKind::kWitness;
  } else {
    token.monitor_user = TRY(text_field(json, kMonitorUserKey, "monitor user"));
    token.monitor_password = Secret(TRY(text_field(json, kMonitorPasswordKey, "monitor password")));
    token.monitor_database = TRY(text_field(json, kMonitorDatabaseKey, "monitor database"));
  }
  if (json.contains(kFingerprintKey)) {
    token.certificate_sha256 = TRY(text_field(json, kFingerprintKey, "certificate fingerprint"));
  }
  if (json.contains(kCaKey)) {
    const auto ca = base::from_base64url(TRY(text_field(json, kCaKey, "certificate of a CA")));
    if (!ca || ca->empty()) return missing_field("certificate of a CA");
    token.ca_der = *ca;
  }
  token.agent = TRY(agent_from_json(json));
  TRY(check_fields(token));
  return token;
}

}  // namespace

Result<Secret> encode_token(const Token& token) {
  TRY(check_fields(token));
  Json json;
  json[kVersionKey] = static_cast<unsigned>(kTokenVersion);
  json[kHostKey] = token.host;
  json[kPortKey] = token.port;
  json[kReplicationUserKey] = token.replication_user;
  json[kReplicationPasswordKey] = token.replication_password.reveal();
  json[kSlotKey] = token.slot;
  json[kSystemIdKey] = token.system_id.to_string();
  if (token.kind == TokenKind::kWitness) {
    json[kKindKey] = kWitnessKind;
  } else {
    json[kMonitorUserKey] = token.monitor_user;
    json[kMonitorPasswordKey] = token.monitor_password.reveal();
    json[kMonitorDatabaseKey] = token.monitor_database;
  }
  if (token.certificate_sha256) json[kFingerprintKey] = *token.certificate_sha256;
  if (!token.ca_der.empty()) json[kCaKey] = base::to_base64url(token.ca_der);
  if (token.agent) {
    json[kAgentHostKey] = token.agent->host;
    json[kAgentPortKey] = token.agent->port;
    json[kAgentFingerprintKey] = token.agent->ca_sha256;
    json[kAgentSecretKey] = token.agent->secret.reveal();
  }
  std::string text;
  try {
    text = fmt::format("{}{}.{}", kWord, kTokenVersion, base::to_base64url(json.dump()));
  } catch (const nlohmann::json::exception&) {  // its message would quote the value
    return bad_token("a token cannot hold a name or password that is not UTF-8", "Choose another one.");
  }
  text += '.' + crc_of(text);
  if (text.size() > kMaxTokenBytes)
    return bad_token("the token would be too long", "Choose a shorter password.");
  return Secret(std::move(text));
}

Result<Token> decode_token(std::string_view text) {
  if (text.size() > kMaxTokenBytes) return not_a_token();
  std::string packed(text);
  std::erase_if(packed, is_space);
  const auto parts = split(packed);
  if (!parts || parts->version == 0) return not_a_token();
  if (parts->version > kTokenVersion) return newer_version();
  if (parts->crc.size() != kCrcDigits || crc_of(parts->covered) != parts->crc) return mistyped();
  const auto payload = base::from_base64url(parts->payload);
  if (!payload) return mistyped();
  const Json json = Json::parse(*payload, nullptr, false);
  if (!json.is_object()) return mistyped();
  try {
    return token_from_json(json);
  } catch (const nlohmann::json::exception&) {
    return mistyped();
  }
}

bool looks_like_token(std::string_view text) {
  constexpr std::size_t kTellingDigits = 8;
  for (std::size_t at = text.find(kWord); at != std::string_view::npos; at = text.find(kWord, at + 1)) {
    const auto parts = split(text.substr(at));
    if (!parts) continue;
    const auto end = std::find_if_not(parts->payload.begin(), parts->payload.end(), is_base64url);
    if (end - parts->payload.begin() >= static_cast<std::ptrdiff_t>(kTellingDigits)) return true;
  }
  return false;
}

}  // namespace standfast::pg
