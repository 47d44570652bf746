// The half of member_register.h that reads and writes the register's JSON.
#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "agent/member_register.h"

namespace standfast::agent {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using Json = nlohmann::json;

constexpr int kFormat = 1;
constexpr std::size_t kSerialDigits = 32;
constexpr std::size_t kSha256Digits = 64;
constexpr std::uint64_t kMaxListNumber = std::uint64_t{1} << 53U;
/// The year 9999, the last that a certificate can name.
constexpr std::int64_t kMaxUnixSeconds = 253'402'300'799;

Error bad(std::string_view what) {
  return {ErrorCode::kProtocol, fmt::format("the cluster's register of members: {}", what),
          "Put it back from a backup of the folder it lies in."};
}

Result<std::string> read_text(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return bad(fmt::format("\"{}\" is missing", key));
  return found->get<std::string>();
}

Result<std::uint64_t> read_number(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) {
    return bad(fmt::format("\"{}\" is missing", key));
  }
  return found->get<std::uint64_t>();
}

Result<UnixSeconds> read_time(const Json& object, const char* key) {
  const std::uint64_t seconds = TRY(read_number(object, key));
  if (seconds > kMaxUnixSeconds) return bad(fmt::format("\"{}\" is no time", key));
  return UnixSeconds(std::chrono::seconds(static_cast<std::int64_t>(seconds)));
}

Result<std::string> read_name(const Json& object) {
  std::string value = TRY(read_text(object, "name"));
  if (!is_member_name(value)) return bad("a name cannot be a member's");
  return value;
}

Result<std::string> read_hex(const Json& object, const char* key, std::size_t digits) {
  std::string value = TRY(read_text(object, key));
  const bool fits = value.size() == digits && std::all_of(value.begin(), value.end(), [](char c) {
                      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                    });
  if (!fits) return bad(fmt::format("\"{}\" is not of {} hexadecimal digits", key, digits));
  return value;
}

Result<const Json*> read_list(const Json& object, const char* key, std::size_t max) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array()) return bad(fmt::format("\"{}\" is missing", key));
  if (found->size() > max) return bad(fmt::format("\"{}\" has more than {} entries", key, max));
  return &*found;
}

Result<GivenCertificate> given_from(const Json& object) {
  if (!object.is_object()) return bad("a certificate is no object");
  // One after the other: what a braced list has begun to hold is not freed where a TRY inside it returns.
  GivenCertificate given;
  given.name = TRY(read_name(object));
  given.serial = TRY(read_hex(object, "serial", kSerialDigits));
  given.key_sha256 = TRY(read_hex(object, "key_sha256", kSha256Digits));
  given.issued = TRY(read_time(object, "issued"));
  given.expires = TRY(read_time(object, "expires"));
  if (object.contains("revoked")) given.revoked = TRY(read_time(object, "revoked"));
  return given;
}

Result<Invitation> invitation_from(const Json& object) {
  if (!object.is_object()) return bad("an invitation is no object");
  Invitation invitation;
  invitation.name = TRY(read_name(object));
  invitation.secret_sha256 = TRY(read_hex(object, "secret_sha256", kSha256Digits));
  invitation.expires = TRY(read_time(object, "expires"));
  return invitation;
}

Result<Register> register_from(const Json& object) {
  if (!object.is_object()) return bad("it is no JSON object");
  if (TRY(read_number(object, "format")) != kFormat) {
    return Error(ErrorCode::kVersion, "the cluster's register of members has a format that is not known",
                 "Use the newest standfast that was used on this host.");
  }
  const auto system_id = pg::SystemId::parse(TRY(read_text(object, "system_id")));
  if (!system_id) return bad("\"system_id\" is no system identifier");
  Register members{.system_id = *system_id, .list_number = TRY(read_number(object, "list_number"))};
  if (members.list_number > kMaxListNumber) return bad("\"list_number\" is too large");
  std::set<std::string> serials;
  for (const Json& entry : *TRY(read_list(object, "certificates", kMaxGivenCertificates))) {
    members.certificates.push_back(TRY(given_from(entry)));
    if (!serials.insert(members.certificates.back().serial).second) return bad("a serial is there twice");
  }
  std::set<std::string> invited;
  for (const Json& entry : *TRY(read_list(object, "invitations", kMaxInvitations))) {
    members.invitations.push_back(TRY(invitation_from(entry)));
    if (!invited.insert(members.invitations.back().name).second) return bad("a name is invited twice");
  }
  return members;
}

std::int64_t seconds_of(UnixSeconds time) {
  return time.time_since_epoch().count();
}

}  // namespace

Result<Register> parse_register(std::string_view text) {
  return register_from(Json::parse(text, nullptr, false));
}

std::string text_of(const Register& members) {
  nlohmann::ordered_json object;
  object["format"] = kFormat;
  object["system_id"] = members.system_id.to_string();
  object["list_number"] = members.list_number;
  object["certificates"] = nlohmann::ordered_json::array();
  for (const GivenCertificate& given : members.certificates) {
    auto& entry = object["certificates"].emplace_back();
    entry["name"] = given.name;
    entry["serial"] = given.serial;
    entry["key_sha256"] = given.key_sha256;
    entry["issued"] = seconds_of(given.issued);
    entry["expires"] = seconds_of(given.expires);
    if (given.revoked) entry["revoked"] = seconds_of(*given.revoked);
  }
  object["invitations"] = nlohmann::ordered_json::array();
  for (const Invitation& invitation : members.invitations) {
    auto& entry = object["invitations"].emplace_back();
    entry["name"] = invitation.name;
    entry["secret_sha256"] = invitation.secret_sha256;
    entry["expires"] = seconds_of(invitation.expires);
  }
  return object.dump(1) + "\n";
}

}  // namespace standfast::agent
