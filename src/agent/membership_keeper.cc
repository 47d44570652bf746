#include "agent/membership_keeper.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace standfast::agent {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// Of an invitation that is used at once.
constexpr std::chrono::seconds kOwnInvitation(60);

bool is_same(const OwnMembership& one, const OwnMembership& other) {
  return one.trust.ca_pem == other.trust.ca_pem &&
         one.trust.revoked_list_pem == other.trust.revoked_list_pem &&
         one.own.certificate_pem == other.own.certificate_pem && one.own.key_pem == other.own.key_pem;
}

Result<std::shared_ptr<const Standing>> standing_of(OwnMembership membership, bool has_authority) {
  const auto strangers =
      has_authority ? MemberContext::Strangers::kAdmitted : MemberContext::Strangers::kRefused;
  auto standing = std::make_shared<Standing>();
  standing->context = TRY(MemberContext::for_server(membership.trust, membership.own, strangers));
  standing->has_authority = has_authority;
  if (!membership.trust.revoked_list_pem.empty()) {
    const RevokedList list =
        TRY(read_revoked_list(membership.trust.revoked_list_pem, membership.trust.ca_pem));
    for (const RevokedSerial& revoked : list.serials) standing->revoked_serials.insert(revoked.serial);
    standing->list_number = list.number;
  }
  standing->membership = std::move(membership);
  return std::shared_ptr<const Standing>(std::move(standing));
}

bool is_own_revoked(const Standing& standing) {
  return standing.revoked_serials.contains(standing.membership.facts.serial);
}

Error no_member(const std::string& folder) {
  return {
      ErrorCode::kPrecondition,
      fmt::format("this host is no member of the cluster: there is no certificate in \"{}\"", folder),
      "Run \"standfast primary setup --agent\" on the primary, or \"standfast join\" here with a token of "
      "such a primary."};
}

}  // namespace

void MembershipKeeper::Retry::succeeded(UnixSeconds now, std::chrono::seconds pause) {
  last_ = now;
  next_ = now + pause;
  pause_ = {};
}

void MembershipKeeper::Retry::failed(UnixSeconds now, const KeeperPatience& patience) {
  pause_ = std::clamp(2 * pause_, patience.first_retry, patience.last_retry);
  last_ = now;
  next_ = now + pause_;
}

MembershipKeeper::MembershipKeeper(Options options, MembershipFiles files)
    : options_(std::move(options)), files_(std::move(files)) {}

Result<std::unique_ptr<MembershipKeeper>> MembershipKeeper::open(Options options, UnixSeconds now) {
  MembershipFiles files(options.store, options.system_id);
  std::unique_ptr<MembershipKeeper> keeper(new MembershipKeeper(std::move(options), std::move(files)));
  TRY(keeper->look());
  if (keeper->standing()->has_authority) TRY(keeper->take_revoked(now));
  const auto own = keeper->standing();
  if (own->membership.facts.expires > now) return keeper;
  // The authority can still help itself; nobody else takes an expired certificate.
  if (!own->has_authority) {
    return Error(ErrorCode::kCertificate, "the certificate of this host has expired",
                 "Let it join the cluster again, with a new token of \"standfast primary setup\".");
  }
  TRY(keeper->renew(now));
  return keeper;
}

std::shared_ptr<const Standing> MembershipKeeper::standing() const {
  const std::lock_guard lock(mutex_);
  return standing_;
}

std::optional<Members> MembershipKeeper::members() const {
  auto members = Members::open(options_.store, options_.system_id, {});
  return members ? std::optional(*std::move(members)) : std::nullopt;
}

void MembershipKeeper::hurry() {
  revoked_retry_.at_once();
  renew_retry_.at_once();
}

void MembershipKeeper::keep(UnixSeconds now) {
  tell(told_look_, look(), "the membership on the disk is not taken up");
  const bool has_authority = standing()->has_authority;
  if (has_authority || revoked_retry_.is_due(now)) {
    const auto taken = take_revoked(now);
    tell(told_revoked_, taken, "no newer list of revoked certificates");
    taken ? revoked_retry_.succeeded(now, options_.patience.ask_revoked)
          : revoked_retry_.failed(now, options_.patience);
  }
  if (now < renew_from(standing()->membership.facts) || !renew_retry_.is_due(now)) return;
  const auto renewed = renew(now);
  tell(told_renew_, renewed, "the certificate of this host is not renewed");
  renewed ? renew_retry_.succeeded(now, {}) : renew_retry_.failed(now, options_.patience);
}

void MembershipKeeper::tell(std::string& told, const Result<void>& outcome, std::string_view what) {
  if (outcome) return told.clear();
  const Error& error = outcome.error();
  if (error.code == ErrorCode::kCancelled || std::exchange(told, error.message) == error.message) return;
  options_.note(fmt::format("{}: {}{}{}", what, error.message, error.hint.empty() ? "" : ". ", error.hint));
}

/// Another process may have written there: a join, or a member that was removed.
Result<void> MembershipKeeper::look() {
  auto membership = TRY(files_.read());
  if (!membership) return no_member(files_.folder());
  const auto authority = Members::open(options_.store, options_.system_id, {});
  if (!authority && authority.error().code != ErrorCode::kPrecondition) return authority.error();
  const bool has_authority = authority.has_value();
  const auto before = standing();
  if (before && before->has_authority == has_authority && is_same(before->membership, *membership)) {
    return base::ok();
  }
  const auto now_standing = TRY(standing_of(*std::move(membership), has_authority));
  if (is_own_revoked(*now_standing) && !(before && is_own_revoked(*before))) {
    options_.note(
        "this host is no member of the cluster any more: its certificate is revoked. Let it join the cluster "
        "again, with a new token of \"standfast primary setup\".");
  }
  const std::lock_guard lock(mutex_);
  standing_ = now_standing;
  return base::ok();
}

Result<void> MembershipKeeper::take_revoked(UnixSeconds now) {
  const auto own = standing();
  const auto authority = members();
  const std::string list =
      authority ? TRY(authority->revoked_list(now)) : TRY(options_.link.revoked_list(own->membership));
  if (list.empty()) return base::ok();
  // The authority makes it anew each time that it is asked; what it says changes with its number.
  if (TRY(read_revoked_list(list, own->membership.trust.ca_pem)).number <= own->list_number)
    return base::ok();
  TRY(files_.replace_revoked(list));
  options_.note("a newer list of revoked certificates is in use");
  return look();
}

Result<Membership> MembershipKeeper::renewed(const Standing& own, UnixSeconds now) {
  const OwnMembership& there = own.membership;
  const std::string request = TRY(make_request(there.own.key_pem));
  if (auto authority = members()) {
    if (there.facts.expires > now || is_own_revoked(own)) {
      return authority->renew(there.facts.serial, request, now);
    }
    const base::Secret secret = TRY(authority->invite(there.facts.member.name, now + kOwnInvitation, now));
    return authority->admit(secret, request, now);
  }
  SignedCertificate given = TRY(options_.link.renew(there, request));
  Membership membership;
  membership.facts = TRY(read_certificate(given.certificate_pem));
  membership.certificate_pem = std::move(given.certificate_pem);
  membership.ca_pem = std::move(given.ca_pem);
  return membership;
}

Result<void> MembershipKeeper::renew(UnixSeconds now) {
  const auto own = standing();
  const Membership membership = TRY(renewed(*own, now));
  TRY(files_.replace_certificate(membership));
  options_.note(fmt::format("the certificate of this host is renewed, until {:%Y-%m-%d}",
                            fmt::gmtime(std::chrono::system_clock::to_time_t(membership.facts.expires))));
  return look();
}

}  // namespace standfast::agent
