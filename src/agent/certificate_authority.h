// The small certificate authority of a cluster: its own certificate, those of the members, and the list of
// revoked ones, a CRL, so that OpenSSL itself checks it. All keys are EC P-256.
//
// What is signed holds what the authority decides; of a request only the public key goes in.
//
// Threading: pure but for randomness. Ownership: values. Invariants: the authority signs nothing but members,
// which sign nothing; time is a parameter. Fails: kCertificate for a request or a list that is not what it
// must be, kFailed where OpenSSL fails.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/certificate.h"
#include "base/result.h"
#include "base/secret.h"

namespace standfast::agent {

constexpr std::chrono::seconds kAuthorityLife = std::chrono::hours(24 * 3650);
constexpr std::chrono::seconds kCertificateLife = std::chrono::hours(24 * 30);

struct Authority {
  std::string certificate_pem;
  base::Secret key_pem;
};
base::Result<Authority> make_authority(pg::SystemId system_id, UnixSeconds now);

/// A member's side. A renewal asks with the key that the member has.
base::Result<base::Secret> make_key();
base::Result<std::string> make_request(const base::Secret& key_pem);

/// A request whose key is of the right kind, and that was made by whoever has it.
struct CheckedRequest {
  net::KeyHandle key;
  std::string key_sha256;  ///< of the public key (SubjectPublicKeyInfo), hexadecimal
};
base::Result<CheckedRequest> check_request(std::string_view request_pem);

struct SignedMember {
  std::string certificate_pem;
  CertificateFacts facts;
};
/// `member` has a name that is_member_name().
base::Result<SignedMember> sign_member(const Authority& authority, const CheckedRequest& request,
                                       const Member& member, UnixSeconds now);

struct RevokedSerial {
  std::string serial;
  UnixSeconds since;
  bool operator==(const RevokedSerial&) const = default;
};
struct RevokedList {
  std::uint64_t number = 0;  ///< one more with each change
  UnixSeconds made;
  std::vector<RevokedSerial> serials;
};
/// It does not expire before the authority does: where no newer one comes, members go on.
base::Result<std::string> sign_revoked_list(const Authority& authority, const RevokedList& list);
/// Only what this authority signed.
base::Result<RevokedList> read_revoked_list(std::string_view pem, std::string_view authority_pem);
/// By its number, then its time: only a newer list takes the place of another.
bool is_newer(const RevokedList& list, const RevokedList& than);

}  // namespace standfast::agent
