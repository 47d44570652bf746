#include "setup/join_membership.h"

#include <utility>

#include <fmt/format.h>

#include "agent/certificate_authority.h"
#include "agent/client.h"
#include "agent/members.h"
#include "setup/agent_look.h"
#include "setup/agent_place.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kConnectTimeout{20};
constexpr base::Seconds kAnswerTimeout{60};

class Joining {
 public:
  Joining(const pg::Token& token, const client::SecretStore& store, const SetupEnvironment& environment)
      : token_(token), environment_(environment), files_(store, token.system_id) {}

  Result<AgentAtSource> find() {
    if (auto known = TRY(known_membership())) {
      const auto taken = greet(*known);
      if (taken) return AgentAtSource{address(), *std::move(known)};
      // It was removed, or its certificate does not count for another reason: then the secret may make it one
      // again. An agent that only cannot serve it now says nothing of that.
      if (taken.error().code != ErrorCode::kCertificate) return taken.error();
    }
    TRY(ask());
    auto made = TRY(files_.read());
    if (made) return AgentAtSource{address(), *std::move(made)};
    return Error(ErrorCode::kCertificate,
                 fmt::format("the certificate in \"{}\" is gone again", files_.folder()), "Run this again.");
  }

 private:
  net::HostPort address() const { return {token_.agent->host, token_.agent->port}; }
  std::string where() const { return to_string(AgentAddresses{address()}); }

  /// No value: there is none, or none by which the token's agent could know this host.
  Result<std::optional<agent::OwnMembership>> known_membership() const {
    auto known = files_.read();
    if (!known && known.error().code == ErrorCode::kCertificate) return std::optional<agent::OwnMembership>();
    auto membership = TRY(std::move(known));
    if (!membership || membership->facts.expires <= wall_clock_now() ||
        TRY(agent::fingerprint_of(membership->trust.ca_pem)) != token_.agent->ca_sha256) {
      return std::optional<agent::OwnMembership>();
    }
    return membership;
  }

  Result<std::unique_ptr<agent::AgentClient>> connect(
      std::shared_ptr<const agent::MemberContext> context) const {
    agent::ClientOptions options;
    options.context = std::move(context);
    options.system_id = token_.system_id;
    options.patience.connect = kConnectTimeout;
    options.patience.answer = kAnswerTimeout;
    return agent::AgentClient::connect(address(), std::move(options), &environment_.stop);
  }

  Result<void> greet(const agent::OwnMembership& membership) const {
    const auto context = TRY(agent::MemberContext::for_client(membership.trust, membership.own));
    TRY(connect(context));
    return base::ok();
  }

  Result<void> ask() const {
    const base::Secret key = TRY(agent::make_key());
    const std::string request = TRY(agent::make_request(key));
    auto answer = signed_by_agent(request);
    if (!answer) return explained(std::move(answer).error());
    if (TRY(agent::fingerprint_of(answer->ca_pem)) != token_.agent->ca_sha256) {
      return explained(Error(ErrorCode::kProtocol, "it names another certificate authority than it showed",
                             "Take a new token of \"standfast primary setup --agent\"."));
    }
    const agent::CertificateFacts facts = TRY(agent::read_certificate(answer->certificate_pem));
    TRY(files_.save(key, {answer->certificate_pem, answer->ca_pem, facts}));
    agent::AgentPlaces places = TRY(files_.read_places());
    places.authority = {address()};
    return files_.save_places(places);
  }

  Result<agent::SignedCertificate> signed_by_agent(const std::string& request) const {
    const auto context = TRY(agent::MemberContext::for_joining(token_.system_id, token_.agent->ca_sha256));
    const auto client = TRY(connect(context));
    return client->sign({.secret = token_.agent->secret, .request_pem = request});
  }

  Error explained(Error error) const {
    error.message = fmt::format("the agent at {}: {}", where(), error.message);
    if (error.code == ErrorCode::kAuthentication) {
      error.hint = fmt::format(
          "It admits one host, once, within a week: \"standfast primary setup --agent\" on the primary gives "
          "a new one, after \"standfast member remove {}\" where another host has used it and is to make "
          "room. "
          "Nothing was copied; --from protocol copies without it.",
          token_.slot);
    } else if (error.code == ErrorCode::kCertificate) {
      error.hint =
          "Nothing was sent. Take a new token of \"standfast primary setup --agent\"; if that does not help, "
          "see who answers at that address.";
    }
    return error;
  }

  const pg::Token& token_;
  const SetupEnvironment& environment_;
  agent::MembershipFiles files_;
};

}  // namespace

bool is_out_of_reach(const Error& error) {
  return error.code == ErrorCode::kConnect || error.code == ErrorCode::kTimeout;
}

Result<AgentAtSource> become_member(const pg::Token& token, const client::SecretStore& store,
                                    const SetupEnvironment& environment) {
  return Joining(token, store, environment).find();
}

}  // namespace standfast::setup
