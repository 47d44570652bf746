#include "agent/member_register.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/bytes.h"
#include "base/check.h"

namespace standfast::agent {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// What is listed as revoked stays listed until no clock takes the certificate any more.
constexpr std::chrono::seconds kKeptAfterExpiry = std::chrono::hours(24);

bool is_live(const GivenCertificate& given, UnixSeconds now) {
  return !given.revoked && now < given.expires;
}

/// What says nothing any more goes: invitations that expired, and certificates, but for each name's newest.
void forget_old(Register& members, UnixSeconds now) {
  std::erase_if(members.invitations,
                [now](const Invitation& invitation) { return invitation.expires <= now; });
  std::set<std::string> seen;
  std::vector<GivenCertificate> kept;
  for (auto given = members.certificates.rbegin(); given != members.certificates.rend(); ++given) {
    const bool is_newest = seen.insert(given->name).second;
    if (is_newest || now < given->expires + kKeptAfterExpiry) kept.push_back(std::move(*given));
  }
  members.certificates.assign(std::make_move_iterator(kept.rbegin()), std::make_move_iterator(kept.rend()));
}

void take_back(Register& members, std::string_view name, UnixSeconds now) {
  bool is_changed = false;
  for (GivenCertificate& given : members.certificates) {
    if (given.name != name || !is_live(given, now)) continue;
    given.revoked = now;
    is_changed = true;
  }
  if (is_changed) ++members.list_number;
}

Result<void> add(Register& members, const GivenCertificate& given, UnixSeconds now) {
  forget_old(members, now);
  if (members.certificates.size() >= kMaxGivenCertificates) {
    return Error(ErrorCode::kPrecondition,
                 fmt::format("the cluster's register of members is full ({})", kMaxGivenCertificates),
                 "Wait until certificates that were taken back have expired.");
  }
  members.certificates.push_back(given);
  return base::ok();
}

Error does_not_count(std::string_view what) {
  return {ErrorCode::kAuthentication, std::string(what),
          "Make a new token on the primary with \"standfast primary setup\"."};
}

}  // namespace

std::string hash_of_secret(const base::Secret& secret) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  const std::string& text = secret.reveal();
  CHECK(EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr) == 1);
  return base::to_hex(std::as_bytes(std::span(digest).first(size)));
}

Result<void> invite(Register& members, const Invitation& invitation, UnixSeconds now) {
  if (!is_member_name(invitation.name)) {
    return Error(ErrorCode::kUsage, fmt::format("\"{}\" cannot be the name of a member", invitation.name),
                 "Use up to 63 letters, digits, '-', '_' and '.'; the first is a letter or a digit.");
  }
  forget_old(members, now);
  std::erase_if(members.invitations, [&](const Invitation& other) { return other.name == invitation.name; });
  if (members.invitations.size() >= kMaxInvitations) {
    return Error(ErrorCode::kPrecondition,
                 fmt::format("there are {} invitations that nobody has used", kMaxInvitations),
                 "Wait until some have expired, or remove them with \"standfast member remove\".");
  }
  members.invitations.push_back(invitation);
  return base::ok();
}

Result<std::string> find_invited(const Register& members, const base::Secret& secret, UnixSeconds now) {
  const std::string hash = hash_of_secret(secret);
  const Invitation* found = nullptr;
  for (const Invitation& invitation : members.invitations) {
    if (invitation.secret_sha256.size() == hash.size() &&
        CRYPTO_memcmp(invitation.secret_sha256.data(), hash.data(), hash.size()) == 0) {
      found = &invitation;
    }
  }
  if (found == nullptr || found->expires <= now) {
    return does_not_count("the secret of the token admits nobody: it is used up, expired or unknown");
  }
  return found->name;
}

Result<void> record_admission(Register& members, const GivenCertificate& given, UnixSeconds now) {
  Register changed = members;
  std::erase_if(changed.invitations,
                [&](const Invitation& invitation) { return invitation.name == given.name; });
  take_back(changed, given.name, now);
  TRY(add(changed, given, now));
  members = std::move(changed);
  return base::ok();
}

Result<std::string> find_renewing(const Register& members, std::string_view serial,
                                  std::string_view key_sha256, UnixSeconds now) {
  const auto given = std::find_if(members.certificates.begin(), members.certificates.end(),
                                  [&](const GivenCertificate& each) { return each.serial == serial; });
  if (given == members.certificates.end()) return does_not_count("the certificate is not in the register");
  if (given->revoked) return does_not_count(fmt::format("\"{}\" is no member any more", given->name));
  if (given->expires <= now) return does_not_count("the certificate has expired");
  if (given->key_sha256 != key_sha256) {
    return does_not_count("a certificate is renewed for the key that it was given to, not for another one");
  }
  const auto live = std::count_if(
      members.certificates.begin(), members.certificates.end(),
      [&](const GivenCertificate& each) { return each.name == given->name && is_live(each, now); });
  if (static_cast<std::size_t>(live) >= kMaxCertificatesOfMember) {
    return Error(ErrorCode::kPrecondition,
                 fmt::format("\"{}\" has {} certificates already", given->name, live),
                 "Wait until the oldest has expired; see whether that host keeps what it is given.");
  }
  return given->name;
}

Result<void> record_renewal(Register& members, const GivenCertificate& given, UnixSeconds now) {
  return add(members, given, now);
}

Result<void> revoke(Register& members, std::string_view name, UnixSeconds now) {
  const auto is_it = [name](const auto& each) { return each.name == name; };
  if (std::none_of(members.certificates.begin(), members.certificates.end(), is_it) &&
      std::none_of(members.invitations.begin(), members.invitations.end(), is_it)) {
    return Error(ErrorCode::kUsage, fmt::format("there is no member \"{}\"", name),
                 "\"standfast member list\" shows them.");
  }
  std::erase_if(members.invitations, is_it);
  take_back(members, name, now);
  forget_old(members, now);
  return base::ok();
}

RevokedList revoked_of(const Register& members, UnixSeconds now) {
  RevokedList list{.number = members.list_number, .made = now, .serials = {}};
  for (const GivenCertificate& given : members.certificates) {
    if (given.revoked) list.serials.push_back({given.serial, *given.revoked});
  }
  return list;
}

std::vector<MemberState> list_members(const Register& members, UnixSeconds now) {
  using Standing = MemberState::Standing;
  std::map<std::string, MemberState> by_name;
  for (const GivenCertificate& given : members.certificates) {
    Standing standing = now < given.expires ? Standing::kMember : Standing::kExpired;
    if (given.revoked) standing = Standing::kRevoked;
    by_name[given.name] = {.name = given.name, .standing = standing, .newest = given};
  }
  for (const Invitation& invitation : members.invitations) {
    if (invitation.expires <= now) continue;
    MemberState& state = by_name[invitation.name];
    if (!state.newest) state.standing = Standing::kInvited;
    state.name = invitation.name;
    state.invited_until = invitation.expires;
  }
  std::vector<MemberState> all;
  for (auto& [name, state] : by_name) all.push_back(std::move(state));
  return all;
}

}  // namespace standfast::agent
