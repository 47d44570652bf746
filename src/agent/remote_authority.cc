#include "agent/remote_authority.h"

#include <utility>

namespace standfast::agent {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

/// Nobody waits for it: what does not come now is asked for again.
constexpr ClientPatience kPatience{.connect = base::Seconds(20), .answer = base::Seconds(30)};

}  // namespace

template <typename Answer>
Result<Answer> RemoteAuthority::ask(const OwnMembership& own,
                                    const std::function<Result<Answer>(AgentClient&)>& question) {
  const AgentPlaces places = TRY(files_.read_places());
  const auto context = TRY(MemberContext::for_client(own.trust, own.own));
  Result<Answer> answer = Error(ErrorCode::kPrecondition,
                                "it is not known where the agent of the host with the cluster's authority is",
                                "Let this host join again, with a new token of \"standfast primary setup\".");
  for (const net::HostPort& place : places.authority) {
    auto client = AgentClient::connect(
        place, {.context = context, .system_id = own.trust.system_id, .patience = kPatience}, &stop_);
    answer = client ? question(**client) : Result<Answer>(std::move(client).error());
    if (answer || stop_.is_set()) break;
  }
  return answer;
}

Result<SignedCertificate> RemoteAuthority::renew(const OwnMembership& own, std::string request_pem) {
  return ask<SignedCertificate>(own, [&](AgentClient& client) { return client.renew({request_pem}); });
}

Result<std::string> RemoteAuthority::revoked_list(const OwnMembership& own) {
  return ask<std::string>(own, [](AgentClient& client) { return client.list_revoked(); });
}

}  // namespace standfast::agent
