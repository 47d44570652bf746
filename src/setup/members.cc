#include "setup/members.h"

#include <algorithm>

#include "setup/members_parts.h"

namespace standfast::setup {
namespace {

using base::ErrorCode;

/// Whether the one has a sender or a slot for the other.
bool serves(const ServerFacts& above, const ServerFacts& standby) {
  if (&above == &standby || above.system_id != standby.system_id) return false;
  std::vector<Member> rows;
  add_members_below(above, {}, rows);
  return find_row(rows, standby, above) != nullptr;
}

/// Whom each server follows, of those that were asked; none for the top, and for one that streams from a
/// server that was not asked. One that streams from nowhere is taken for one that should follow the top: why
/// it does not is a finding.
std::vector<const ServerFacts*> find_upstreams(const std::vector<ServerFacts>& servers,
                                               const ServerFacts* top) {
  std::vector<const ServerFacts*> upstreams;
  for (const ServerFacts& server : servers) {
    const ServerFacts* found = nullptr;
    for (const ServerFacts& above : servers) {
      if (!server.is_in_recovery || !serves(above, server)) continue;
      const bool is_named = server.receiver && server.receiver->sender_host == above.host &&
                            server.receiver->sender_port == above.port;
      if (found == nullptr || is_named) found = &above;
    }
    const bool streams_from_elsewhere = server.receiver && server.receiver->status == "streaming";
    if (found == nullptr && !(server.is_in_recovery && streams_from_elsewhere)) found = top;
    upstreams.push_back(&server == top ? nullptr : found);
  }
  return upstreams;
}

/// The primary; where none was asked, the standby that others follow.
const ServerFacts* find_top(const std::vector<ServerFacts>& servers) {
  for (const ServerFacts& server : servers) {
    if (!server.is_in_recovery) return &server;
  }
  for (const ServerFacts& server : servers) {
    const bool is_below = std::any_of(servers.begin(), servers.end(),
                                      [&](const ServerFacts& above) { return serves(above, server); });
    if (!server.senders.empty() && !is_below) return &server;
  }
  return nullptr;
}

/// The order in which each server comes after the one it follows; what follows itself in a circle comes last.
std::vector<std::size_t> from_the_top(const std::vector<ServerFacts>& servers,
                                      const std::vector<const ServerFacts*>& upstreams) {
  std::vector<std::size_t> order;
  const auto is_placed = [&](const ServerFacts* server) {
    return server == nullptr ||
           std::any_of(order.begin(), order.end(), [&](std::size_t i) { return &servers[i] == server; });
  };
  for (std::size_t round = 0; round < servers.size(); ++round) {
    for (std::size_t i = 0; i < servers.size(); ++i) {
      if (!is_placed(&servers[i]) && is_placed(upstreams[i])) order.push_back(i);
    }
  }
  for (std::size_t i = 0; i < servers.size(); ++i) {
    if (!is_placed(&servers[i])) order.push_back(i);
  }
  return order;
}

bool has_standby(const std::vector<Member>& members) {
  // A slot that holds WAL, or has lost it, has a standby somewhere; its own finding says more.
  return std::any_of(members.begin() + 1, members.end(), [](const Member& member) {
    const bool receives = member.role == MemberRole::kStandby || member.role == MemberRole::kReceiver;
    return receives || (member.slot && member.state != "never used");
  });
}

}  // namespace

std::string_view describe(MemberRole role) {
  switch (role) {
    case MemberRole::kPrimary:
      return "primary";
    case MemberRole::kStandby:
      return "standby";
    case MemberRole::kWitness:
      return "witness";
    case MemberRole::kReceiver:
      return "receiver";
    case MemberRole::kLogical:
      return "logical";
    case MemberRole::kBackup:
      return "backup";
    case MemberRole::kSlot:
      return "slot";
  }
  return "";
}

int StatusReport::exit_code() const {
  return findings.empty() ? 0 : base::exit_code_of(findings.front().code);
}

StatusReport make_report(const StatusInput& input) {
  StatusReport report;
  const ServerFacts* top = find_top(input.servers);
  const auto upstreams = find_upstreams(input.servers, top);
  for (const std::size_t i : from_the_top(input.servers, upstreams)) {
    const ServerFacts& server = input.servers[i];
    const ServerFacts* above = upstreams[i];
    judge_rights(server, report.findings);
    add_notes(server, report.notes);
    const ServerFacts* compared = above != nullptr || &server == top ? above : top;
    if (compared != nullptr) judge_pair(*compared, server, report.findings);
    if (above != nullptr && server.is_in_recovery && server.system_id == above->system_id) {
      merge_standby(report.members, server, *above);
    } else {
      report.members.push_back(member_of_server(server));
    }
    add_members_below(server, input.witnesses, report.members);
  }
  const bool has_primary = top != nullptr && !top->is_in_recovery;
  if (has_primary) {
    add_missing_witnesses(*top, input.witnesses, report.members);
    judge_witnesses(input, *top, report);
  }
  note_chains(input.servers, upstreams, report.notes);
  for (const Member& member : report.members) judge_member(member, input, report);
  for (const UnfinishedCopy& copy : input.unfinished) judge_unfinished(copy, report.findings);
  judge_unreachable(input, top, report);
  if (has_primary && !has_standby(report.members)) {
    report.findings.push_back(
        {ErrorCode::kNotStreaming, "no standby is attached",
         "Run \"standfast join\" on the standby's host, or \"standfast primary setup\" here "
         "first if that was not done yet."});
  }
  sort_by_seriousness(report.findings);
  report.servers = input.servers;
  report.unfinished = input.unfinished;
  return report;
}

}  // namespace standfast::setup
