// What the certificate of the server and the tokens of its standbys have to be.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "pg/format/token.h"
#include "setup/primary_plan_parts.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

Error unfit_chain(const CertificateState& certificate, const client::ChainFinding& finding) {
  const std::string nothing = " Nothing was changed.";
  switch (finding.problem) {
    case client::ChainProblem::kNoIssuer: {
      const std::string message = fmt::format(
          "a standby could not verify the certificate in \"{}\": the server does not send the "
          "certificate of its issuer ({})",
          certificate.file, finding.certificate);
      if (certificate.ca_was_given) {
        return {ErrorCode::kCertificate, message,
                "The file of --ca-file has no certificate of that issuer; name one that has it and all above "
                "it, up to one that is self-signed." +
                    nothing};
      }
      return {ErrorCode::kCertificate, message,
              "Name the certificate of the CA with --ca-file FILE, and the token will carry it; or put it at "
              "the end of that file and reload the server." +
                  nothing};
    }
    case client::ChainProblem::kExpired:
      return {ErrorCode::kCertificate,
              fmt::format("the certificate in \"{}\" is not valid today: {} ({})", certificate.file,
                          finding.reason, finding.certificate),
              "Renew it and reload the server, then run this again." + nothing};
    case client::ChainProblem::kUnfit:
      break;
  }
  return {ErrorCode::kCertificate,
          fmt::format("a standby would not take the certificate in \"{}\": {} ({})", certificate.file,
                      finding.reason, finding.certificate),
          "Give the server another certificate and reload it, then run this again." + nothing};
}

/// A CA vouches for other servers too, so its certificate has to say that it is this one.
Result<void> check_names(const CertificateState& certificate, const PrimaryPlan& plan,
                         const PrimaryWish& wish) {
  if (certificate.leaf.is_self_signed) return base::ok();
  for (const PlannedMember& member : plan.members) {
    const std::string host = host_for(member, wish);
    if (!member.is_named || TRY(client::is_for_host(certificate.pem, host))) continue;
    const auto& names = certificate.leaf.names;
    return Error(
        ErrorCode::kCertificate,
        fmt::format("the server's certificate is for {}, not for {}, where {} is to connect",
                    names.empty() ? "nobody" : fmt::format("{}", fmt::join(names, ", ")), host,
                    shown_address(member.address_cidr)),
        fmt::format("Give a name of the certificate that the standby can resolve with --advertise{}, or give "
                    "the server a certificate that has {} in its subjectAltName. Nothing was changed.",
                    names.empty() ? "" : " " + names.front(), host));
  }
  return base::ok();
}

/// What it says of the agent; where no agent is wished for it keeps what it says.
std::optional<std::string> difference_of_agent(const TokenState& token, const PrimaryState& state,
                                               const PrimaryPlan& plan, const PlannedMember& member) {
  if (!plan.agent || !plan.agent->called_at.contains(member.slot)) return std::nullopt;
  const net::HostPort& place = plan.agent->called_at.find(member.slot)->second;
  if (!token.agent) return "it gets the agent's address, and a secret for a certificate";
  if (token.agent->place != place) {
    return fmt::format("the agent is at {} now", to_string(AgentAddresses{place}));
  }
  if (!state.agent || token.agent->ca_sha256 != state.agent->ca_sha256) {
    return "the certificate authority is another now";
  }
  if (plan.agent->invited.contains(member.slot))
    return "its secret for a certificate does not count any more";
  return std::nullopt;
}

/// What the token in the store says otherwise than the one this run would write; none: it is right.
std::optional<std::string> difference(const TokenState& token, const PrimaryState& state,
                                      const PrimaryPlan& plan, const PlannedMember& member,
                                      const std::string& host) {
  const auto replaces = [](const RolePlan& role) { return role.password == PasswordAction::kReplace; };
  if (!token.is_readable) return "it cannot be read";
  const bool is_witness = member.kind == MemberKind::kWitness;
  if (is_witness != (token.kind == pg::TokenKind::kWitness)) return "what holds it is of another kind now";
  if (token.host != host) return fmt::format("the standby is to connect to {}, not to {}", host, token.host);
  if (token.port != state.port) return fmt::format("the port is {} now", state.port);
  if (token.replication_role != plan.replication.name) return "the replication role is another now";
  if (!token.has_the_passwords || replaces(plan.replication) || (!is_witness && replaces(plan.monitor))) {
    return "a password is another now";
  }
  if (auto reason = difference_of_agent(token, state, plan, member)) return reason;
  if (!state.tls)
    return token.certificate_sha256 ? std::optional<std::string>("ssl is off now") : std::nullopt;
  if (!state.certificate) return std::nullopt;
  if (token.certificate_sha256 != state.certificate->leaf.sha256_hex ||
      token.ca_der != state.certificate->verdict.missing_der) {
    return "the certificate is another now";
  }
  return std::nullopt;
}

}  // namespace

std::string_view token_purpose(MemberKind kind) {
  return kind == MemberKind::kWitness ? "it holds what the witness must know of this server"
                                      : "it holds what the standby must know of this server";
}

std::string host_for(const PlannedMember& member, const PrimaryWish& wish) {
  return wish.advertised_host ? *wish.advertised_host : member.source_address.value_or("");
}

Result<void> plan_certificate(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan) {
  if (!state.tls && !wish.ca_pem.empty()) {
    plan.notes.push_back({"--ca-file is not used, because ssl is off"});
  }
  if (!state.certificate) return base::ok();
  const client::ChainVerdict& verdict = state.certificate->verdict;
  if (verdict.finding) return unfit_chain(*state.certificate, *verdict.finding);
  if (verdict.missing_der.size() > pg::kMaxTokenCaBytes) {
    return Error(
        ErrorCode::kCertificate, "the certificates of the CA are too large for a token",
        fmt::format("Put them at the end of \"{}\" and reload the server, so that it sends them itself.",
                    state.certificate->file));
  }
  return check_names(*state.certificate, plan, wish);
}

void plan_tokens(const PrimaryState& state, const PrimaryWish& wish, PrimaryPlan& plan) {
  for (const PlannedMember& member : plan.members) {
    const auto token = state.tokens.find(member.slot);
    if (token == state.tokens.end()) {
      if (!member.is_named) continue;
      plan.changes.push_back({ChangeKind::kToken, "2.1",
                              fmt::format("token for {}: written to the secret store", member.slot),
                              std::string(token_purpose(member.kind))});
      continue;
    }
    // One of a standby that is not named keeps its host, and is left alone where nobody can tell it.
    if (!member.is_named && !token->second.is_readable) continue;
    const std::string host = member.is_named ? host_for(member, wish) : token->second.host;
    if (const auto reason = difference(token->second, state, plan, member, host)) {
      plan.changes.push_back(
          {ChangeKind::kToken, "2.1", fmt::format("token for {}: renewed", member.slot), *reason});
    }
  }
}

}  // namespace standfast::setup
