// What the commands about a cluster's members share: which cluster, its register, and how times look.
//
// Threading: one thread. Fails: kPrecondition where this host does not have the cluster's authority; as
// which_cluster.h and agent/members.h.
#pragma once

#include <string>

#include "agent/members.h"
#include "base/result.h"
#include "cli/command.h"

namespace standfast::cli {

class MemberArguments {
 public:
  void declare(CLI::App& app);
  base::Result<void> prepare(CommandContext& context);
  OwnerRule owner_rule() const { return {.data_directory = data_directory_}; }

  struct Opened {
    pg::SystemId system_id;
    client::SecretStore store;
    agent::Members members;
  };
  base::Result<Opened> open(CommandContext& context) const;

 private:
  std::string data_directory_;
};

agent::UnixSeconds seconds_now();
/// "2026-11-23T04:05:06Z"
std::string utc_time(agent::UnixSeconds time);
std::string_view word_of(agent::MemberState::Standing standing);

}  // namespace standfast::cli
