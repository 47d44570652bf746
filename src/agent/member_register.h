// Who is a member: the certificates that the cluster's authority gave, those it took back, and who is invited
// (docs/formats/members.md). members.h keeps it on disk.
//
// Threading: pure functions on values; time is a parameter. Invariants: a secret is in it only as its
// SHA-256, and admits one certificate; all of it is bounded. Fails: kProtocol for a text that is no register,
// kAuthentication for a secret or a certificate that does not count, kPrecondition, kUsage.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/certificate.h"
#include "agent/certificate_authority.h"
#include "base/result.h"
#include "base/secret.h"

namespace standfast::agent {

constexpr std::size_t kMaxGivenCertificates = 2000;
constexpr std::size_t kMaxInvitations = 500;
/// That have not expired; three where each is renewed when it is time.
constexpr std::size_t kMaxCertificatesOfMember = 16;

struct GivenCertificate {
  std::string name;
  std::string serial;      ///< 32 hexadecimal digits
  std::string key_sha256;  ///< CheckedRequest's
  UnixSeconds issued;
  UnixSeconds expires;
  std::optional<UnixSeconds> revoked = {};
  bool operator==(const GivenCertificate&) const = default;
};
struct Invitation {
  std::string name;
  std::string secret_sha256;
  UnixSeconds expires;
  bool operator==(const Invitation&) const = default;
};
struct Register {
  pg::SystemId system_id;
  std::uint64_t list_number = 1;                    ///< of the list of revoked certificates
  std::vector<GivenCertificate> certificates = {};  ///< in the order in which they were given
  std::vector<Invitation> invitations = {};         ///< one for each name
  bool operator==(const Register&) const = default;
};
base::Result<Register> parse_register(std::string_view text);
std::string text_of(const Register& members);

/// Whoever has the secret may become the member; an earlier invitation of that name counts no more.
base::Result<void> invite(Register& members, const Invitation& invitation, UnixSeconds now);
std::string hash_of_secret(const base::Secret& secret);
/// The name it admits; takes the same time whichever secret it is.
base::Result<std::string> find_invited(const Register& members, const base::Secret& secret, UnixSeconds now);
/// Uses the invitation up. What that member had is taken back: it begins anew.
base::Result<void> record_admission(Register& members, const GivenCertificate& given, UnixSeconds now);

/// The name of the member that may have another certificate in place of this one, for the same key.
base::Result<std::string> find_renewing(const Register& members, std::string_view serial,
                                        std::string_view key_sha256, UnixSeconds now);
base::Result<void> record_renewal(Register& members, const GivenCertificate& given, UnixSeconds now);

/// All certificates of that name, and its invitation. Changes nothing where that is done.
base::Result<void> revoke(Register& members, std::string_view name, UnixSeconds now);
RevokedList revoked_of(const Register& members, UnixSeconds now);

struct MemberState {
  enum class Standing : std::uint8_t { kMember, kExpired, kRevoked, kInvited };
  std::string name;
  Standing standing = Standing::kMember;
  std::optional<GivenCertificate> newest = {};  ///< none of who is only invited
  std::optional<UnixSeconds> invited_until = {};
};
/// By name.
std::vector<MemberState> list_members(const Register& members, UnixSeconds now);

}  // namespace standfast::agent
