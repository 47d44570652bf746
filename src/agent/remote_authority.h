// The agent of the host with the cluster's authority, found by agent.json and asked over the network.
//
// Threading: one thread. Ownership: borrows the StopEvent, which ends each wait. Fails: kPrecondition where
// nobody has said where that agent is; of several places the failure of the last; and as AgentClient.
#pragma once

#include <functional>
#include <string>

#include "agent/client.h"
#include "agent/membership_files.h"
#include "agent/membership_keeper.h"

namespace standfast::agent {

class RemoteAuthority final : public AuthorityLink {
 public:
  RemoteAuthority(MembershipFiles files, const env::StopEvent& stop)
      : files_(std::move(files)), stop_(stop) {}
  base::Result<SignedCertificate> renew(const OwnMembership& own, std::string request_pem) override;
  base::Result<std::string> revoked_list(const OwnMembership& own) override;

 private:
  template <typename Answer>
  base::Result<Answer> ask(const OwnMembership& own,
                           const std::function<base::Result<Answer>(AgentClient&)>& question);

  const MembershipFiles files_;
  const env::StopEvent& stop_;
};

}  // namespace standfast::agent
