#include "agent/membership_files.h"

#include <utility>

#include <fmt/format.h>

#include "env/folder_lock.h"

namespace standfast::agent {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Secret;

constexpr std::string_view kKeyFile = "member/key.pem";
constexpr std::string_view kCertificateFile = "member/certificate.pem";
constexpr std::string_view kAuthorityFile = "member/ca.pem";
constexpr std::string_view kRevokedFile = "member/revoked.pem";
constexpr std::string_view kPlacesFile = "member/agent.json";
constexpr base::Seconds kLockPatience(10);

Error do_not_fit(const std::string& folder, std::string_view what) {
  return {ErrorCode::kCertificate, fmt::format("in \"{}\" {}", folder, what),
          "Let this host join the cluster again, with a new token of \"standfast primary setup\"."};
}

}  // namespace

std::string MembershipFiles::folder() const {
  return env::parent_of(store_.path_of(system_id_, kCertificateFile));
}

Result<std::optional<std::string>> MembershipFiles::read_text(std::string_view name) const {
  const auto content = TRY(store_.read(system_id_, name));
  return content ? std::optional(content->reveal()) : std::nullopt;
}

Result<void> MembershipFiles::write(std::string_view name, const std::string& text) const {
  TRY(store_.write(system_id_, name, Secret(text)));
  return base::ok();
}

Result<void> MembershipFiles::under_lock(const std::function<Result<void>()>& work) const {
  TRY(store_.make_folder_of(system_id_, kCertificateFile));
  const auto lock = TRY(env::FolderLock::take(
      folder(), {.message = fmt::format("another process works on the membership in \"{}\"", folder())},
      env::Wait::for_at_most(kLockPatience)));
  return work();
}

// ---------------------------------------------------------------- the membership

/// A certificate is written last and removed first: while it is there, so is all that it needs.
Result<std::optional<OwnMembership>> MembershipFiles::read_parts() const {
  auto certificate = TRY(read_text(kCertificateFile));
  if (!certificate) return std::optional<OwnMembership>();
  auto key = TRY(store_.read(system_id_, kKeyFile));
  auto authority = TRY(read_text(kAuthorityFile));
  if (!key || !authority) return do_not_fit(folder(), "a part of the membership is missing");
  OwnMembership membership;
  membership.trust.system_id = system_id_;
  membership.trust.ca_pem = *std::move(authority);
  membership.trust.revoked_list_pem = TRY(read_text(kRevokedFile)).value_or("");
  membership.own = {*std::move(certificate), *std::move(key)};
  membership.facts = TRY(read_certificate(membership.own.certificate_pem));
  return std::optional(std::move(membership));
}

Result<std::optional<OwnMembership>> MembershipFiles::read() const {
  auto membership = TRY(read_parts());
  if (!membership) return membership;
  // Making a context is what tells whether they fit.
  const auto context = MemberContext::for_client(membership->trust, membership->own);
  if (!context) return Error(context.error()).with_context(fmt::format("in \"{}\"", folder()));
  return membership;
}

Result<void> MembershipFiles::save(const Secret& key_pem, const Membership& membership) const {
  const ClusterTrust trust{.system_id = system_id_, .ca_pem = membership.ca_pem};
  TRY(MemberContext::for_client(trust, {membership.certificate_pem, key_pem}));
  return under_lock([&]() -> Result<void> {
    const auto list = TRY(read_text(kRevokedFile));
    TRY(store_.remove(system_id_, kCertificateFile));
    if (list && !read_revoked_list(*list, membership.ca_pem)) TRY(store_.remove(system_id_, kRevokedFile));
    TRY(store_.write(system_id_, kKeyFile, key_pem));
    TRY(write(kAuthorityFile, membership.ca_pem));
    return write(kCertificateFile, membership.certificate_pem);
  });
}

Result<void> MembershipFiles::replace_certificate(const Membership& membership) const {
  return under_lock([&]() -> Result<void> {
    auto there = TRY(read_parts());
    if (!there) return do_not_fit(folder(), "there is no certificate to replace");
    there->own.certificate_pem = membership.certificate_pem;
    TRY(MemberContext::for_client(there->trust, there->own));
    return write(kCertificateFile, membership.certificate_pem);
  });
}

Result<void> MembershipFiles::replace_revoked(const std::string& list_pem) const {
  return under_lock([&]() -> Result<void> {
    const auto authority = TRY(read_text(kAuthorityFile));
    if (!authority) return do_not_fit(folder(), "there is no authority's certificate");
    const RevokedList list = TRY(read_revoked_list(list_pem, *authority));
    if (const auto text = TRY(read_text(kRevokedFile))) {
      // One that cannot be read makes room for one that can.
      const auto there = read_revoked_list(*text, *authority);
      if (there && !is_newer(list, *there)) return base::ok();
    }
    return write(kRevokedFile, list_pem);
  });
}

// ---------------------------------------------------------------- places

Result<AgentPlaces> MembershipFiles::read_places() const {
  const auto text = TRY(read_text(kPlacesFile));
  if (!text) return AgentPlaces{};
  auto places = parse_agent_places(*text);
  if (places) return places;
  return std::move(places).error().with_context(
      fmt::format("\"{}\"", store_.path_of(system_id_, kPlacesFile)));
}

Result<void> MembershipFiles::save_places(const AgentPlaces& places) const {
  return under_lock([&] { return write(kPlacesFile, text_of(places)); });
}

}  // namespace standfast::agent
