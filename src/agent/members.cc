#include "agent/members.h"

#include <array>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <openssl/rand.h>

#include "base/bytes.h"
#include "env/folder_lock.h"

namespace standfast::agent {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Secret;

/// The certificate, then the key: one file, so that there is never one of them alone.
constexpr std::string_view kAuthorityFile = "ca/authority.pem";
constexpr std::string_view kRegisterFile = "ca/members.json";
constexpr std::string_view kEndOfCertificate = "-----END CERTIFICATE-----\n";
constexpr std::size_t kSecretBytes = 32;

Result<Secret> random_secret() {
  std::array<unsigned char, kSecretBytes> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    return net::openssl_failed("make a secret");
  }
  return Secret(base::to_base64url(base::as_text(std::as_bytes(std::span(bytes)))));
}

}  // namespace

Result<Members> Members::create(client::SecretStore store, pg::SystemId system_id, UnixSeconds now,
                                const Options& options) {
  Members members(std::move(store), system_id, options);
  const auto make = [&]() -> Result<void> {
    if (TRY(members.store_.read(system_id, kAuthorityFile))) return base::ok();
    return members.make_files(now);
  };
  TRY(members.store_.make_folder_of(system_id, kAuthorityFile));
  TRY(members.under_lock(make));
  members.ca_pem_ = TRY(members.read_authority()).certificate_pem;
  return members;
}

Result<Members> Members::open(client::SecretStore store, pg::SystemId system_id, const Options& options) {
  Members members(std::move(store), system_id, options);
  members.ca_pem_ = TRY(members.read_authority()).certificate_pem;
  return members;
}

Result<void> Members::make_files(UnixSeconds now) const {
  const Authority made = TRY(make_authority(system_id_, now));
  // The register first: an authority without one has lost it, and with it who was removed.
  TRY(store_.write(system_id_, kRegisterFile, Secret(text_of(Register{.system_id = system_id_}))));
  TRY(store_.write(system_id_, kAuthorityFile, Secret(made.certificate_pem + made.key_pem.reveal())));
  return base::ok();
}

Result<Secret> Members::read(std::string_view name) const {
  auto content = store_.read(system_id_, name);
  if (!content && content.error().code == ErrorCode::kPermission) {
    return std::move(content).error().with_hint(
        "If nobody but the server's user has read it, chown it to that user and chmod it to 0600; if "
        "somebody "
        "may have, the cluster needs another certificate authority.");
  }
  auto found = TRY(std::move(content));
  if (found) return *std::move(found);
  return Error(
      ErrorCode::kPrecondition, fmt::format("there is no \"{}\"", store_.path_of(system_id_, name)),
      "Members are kept on the host on which \"standfast primary setup\" made the cluster's certificate "
      "authority: ask there, or put the folder back from a backup.");
}

Result<Authority> Members::read_authority() const {
  const Secret file = TRY(read(kAuthorityFile));
  const std::string& text = file.reveal();
  const std::size_t end = text.find(kEndOfCertificate);
  if (end == std::string::npos) {
    return Error(
        ErrorCode::kProtocol,
        fmt::format("\"{}\" is not a certificate and its key", store_.path_of(system_id_, kAuthorityFile)),
        "Put it back from a backup.");
  }
  const std::size_t key_at = end + kEndOfCertificate.size();
  return Authority{.certificate_pem = text.substr(0, key_at), .key_pem = Secret(text.substr(key_at))};
}

Result<Register> Members::read_register() const {
  Register members = TRY(parse_register(TRY(read(kRegisterFile)).reveal()));
  if (members.system_id != system_id_) {
    return Error(ErrorCode::kPrecondition,
                 fmt::format("\"{}\" is of the cluster {}", store_.path_of(system_id_, kRegisterFile),
                             members.system_id.to_string()),
                 "Put the one of this cluster back from a backup.");
  }
  return members;
}

Result<void> Members::under_lock(const std::function<Result<void>()>& work) const {
  const std::string folder = env::parent_of(store_.path_of(system_id_, kRegisterFile));
  const auto lock = TRY(env::FolderLock::take(
      folder, {.message = fmt::format("another process works on the cluster's members in \"{}\"", folder)},
      env::Wait::for_at_most(options_.lock_patience)));
  return work();
}

Result<void> Members::change(const Change& how) const {
  return under_lock([&]() -> Result<void> {
    Register members = TRY(read_register());
    TRY(how(members));
    TRY(store_.write(system_id_, kRegisterFile, Secret(text_of(members))));
    return base::ok();
  });
}

Result<Membership> Members::give(Register& members, const CheckedRequest& request, const std::string& name,
                                 UnixSeconds now,
                                 Result<void> (*record)(Register&, const GivenCertificate&,
                                                        UnixSeconds)) const {
  const Authority authority = TRY(read_authority());
  SignedMember made = TRY(sign_member(authority, request, {system_id_, name}, now));
  TRY(record(members,
             {.name = name,
              .serial = made.facts.serial,
              .key_sha256 = request.key_sha256,
              .issued = made.facts.issued,
              .expires = made.facts.expires},
             now));
  return Membership{.certificate_pem = std::move(made.certificate_pem),
                    .ca_pem = authority.certificate_pem,
                    .facts = std::move(made.facts)};
}

Result<Secret> Members::invite(const std::string& name, UnixSeconds expires, UnixSeconds now) {
  Secret secret = TRY(random_secret());
  const Invitation invitation{.name = name, .secret_sha256 = hash_of_secret(secret), .expires = expires};
  TRY(change([&](Register& members) { return agent::invite(members, invitation, now); }));
  return secret;
}

Result<Membership> Members::admit(const Secret& secret, std::string_view request_pem, UnixSeconds now) {
  Membership membership;
  TRY(change([&](Register& members) -> Result<void> {
    // Who is not invited learns nothing of what is wrong with the request.
    const std::string name = TRY(find_invited(members, secret, now));
    const CheckedRequest request = TRY(check_request(request_pem));
    membership = TRY(give(members, request, name, now, record_admission));
    return base::ok();
  }));
  return membership;
}

Result<Membership> Members::renew(std::string_view serial, std::string_view request_pem, UnixSeconds now) {
  Membership membership;
  const CheckedRequest request = TRY(check_request(request_pem));
  TRY(change([&](Register& members) -> Result<void> {
    const std::string name = TRY(find_renewing(members, serial, request.key_sha256, now));
    membership = TRY(give(members, request, name, now, record_renewal));
    return base::ok();
  }));
  return membership;
}

Result<void> Members::revoke(std::string_view name, UnixSeconds now) {
  return change([&](Register& members) { return agent::revoke(members, name, now); });
}

Result<std::string> Members::invited_by(const Secret& secret, UnixSeconds now) const {
  return find_invited(TRY(read_register()), secret, now);
}

Result<std::vector<MemberState>> Members::list(UnixSeconds now) const {
  return list_members(TRY(read_register()), now);
}

Result<std::string> Members::revoked_list(UnixSeconds now) const {
  return sign_revoked_list(TRY(read_authority()), revoked_of(TRY(read_register()), now));
}

}  // namespace standfast::agent
