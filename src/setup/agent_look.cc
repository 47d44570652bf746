#include "setup/agent_look.h"

#include <chrono>
#include <utility>

#include "agent/members.h"
#include "agent/membership_files.h"
#include "setup/agent_start.h"

namespace standfast::setup {
namespace {

using base::ErrorCode;
using base::Result;

/// No value: the authority lies elsewhere, or nowhere.
Result<std::optional<agent::Members>> authority_here(const client::SecretStore& store,
                                                     pg::SystemId system_id) {
  auto members = agent::Members::open(store, system_id, {});
  if (members) return std::optional(*std::move(members));
  if (members.error().code != ErrorCode::kPrecondition) return std::move(members).error();
  return std::optional<agent::Members>();
}

}  // namespace

agent::UnixSeconds wall_clock_now() {
  return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
}

Result<AgentState> look_at_agent(const client::SecretStore& store, pg::SystemId system_id,
                                 const env::Wait& wait) {
  AgentState state;
  const agent::UnixSeconds now = wall_clock_now();
  const auto authority = TRY(authority_here(store, system_id));
  if (authority) {
    state.has_authority = true;
    state.ca_sha256 = TRY(agent::fingerprint_of(authority->ca_pem()));
    for (const agent::MemberState& member : TRY(authority->list(now))) {
      if (member.standing == agent::MemberState::Standing::kMember) state.members.insert(member.name);
    }
  }
  const agent::MembershipFiles files(store, system_id);
  state.listen = TRY(files.read_places()).listen;
  const auto own = files.read();
  if (!own) {
    // What does not fit together is made anew by the authority, and by nobody else.
    if (!authority || own.error().code != ErrorCode::kCertificate) return own.error();
    return state;
  }
  if (!*own) return state;
  const agent::OwnMembership& membership = **own;
  const bool is_of_authority = authority && membership.trust.ca_pem == authority->ca_pem();
  state.is_member = is_of_authority && membership.facts.expires > now &&
                    state.members.contains(membership.facts.member.name);
  state.is_member_elsewhere = !authority;
  state.answering = answering_agents(membership, state.listen, wait);
  return state;
}

Result<TokenAgentState> look_at_token_agent(const client::SecretStore& store, pg::SystemId system_id,
                                            const pg::TokenAgent& said, std::string_view slot) {
  TokenAgentState state{.place = {said.host, said.port}, .ca_sha256 = said.ca_sha256};
  const auto authority = TRY(authority_here(store, system_id));
  if (!authority) return state;
  const auto name = authority->invited_by(said.secret, wall_clock_now());
  state.is_secret_good = name && *name == slot;
  return state;
}

}  // namespace standfast::setup
