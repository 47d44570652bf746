// The parts of make_report(): what becomes a row, and what is said of rows and servers.
//
// Threading: pure functions on values. Fails: never.
#pragma once

#include <string>
#include <vector>

#include "setup/members.h"

namespace standfast::setup {

// ---------------------------------------------------------------- members_rows.cc

/// As the rows below a server name it.
std::string name_below(const ServerFacts& server);
Member member_of_server(const ServerFacts& server);
using Witnesses = std::vector<KnownWitness>;
/// Whoever streams, or could stream, from this server.
void add_members_below(const ServerFacts& upstream, const Witnesses& witnesses, std::vector<Member>& members);
/// A witness that is known and neither streams nor has a slot is missed all the same.
void add_missing_witnesses(const ServerFacts& primary, const Witnesses& witnesses,
                           std::vector<Member>& members);
/// The row below `upstream` that is this standby: by its slot, else by its name. Names need not be unique;
/// two of one name are told apart by nothing, and then none is taken.
Member* find_row(std::vector<Member>& members, const ServerFacts& standby, const ServerFacts& upstream);
/// What the standby knows better than its primary: its timeline, and that it does not receive.
void merge_standby(std::vector<Member>& members, const ServerFacts& standby, const ServerFacts& upstream);

// ---------------------------------------------------------------- members_judge.cc

void judge_rights(const ServerFacts& server, std::vector<Finding>& findings);
void add_notes(const ServerFacts& server, std::vector<std::string>& notes);
/// Two servers that are asked together must be two sides of one thing. The first is the one above, where one
/// is.
void judge_pair(const ServerFacts& primary, const ServerFacts& other, std::vector<Finding>& findings);
/// One that commits may wait for. The sender's name is what counts there, not the slot's.
void judge_witnesses(const StatusInput& input, const ServerFacts& primary, StatusReport& report);
void judge_member(const Member& member, const StatusInput& input, StatusReport& report);
/// A copy that did not end is no standby, and what its slot holds back is told of with it.
void judge_unfinished(const UnfinishedCopy& copy, std::vector<Finding>& findings);
/// Lag against a standby is not all there is: that one lags too. `upstreams` has whom each server follows.
void note_chains(const std::vector<ServerFacts>& servers, const std::vector<const ServerFacts*>& upstreams,
                 std::vector<std::string>& notes);
/// Which role a server has that does not answer is known to nobody, so one code says it of all.
void judge_unreachable(const StatusInput& input, const ServerFacts* upstream, StatusReport& report);
void sort_by_seriousness(std::vector<Finding>& findings);

}  // namespace standfast::setup
