// `standfast sync show|enable|disable`: who must have a commit before a client is told of it
// (replication/syncrep.c, the "Synchronous Replication" of the manual).
//
// A wrong list stops every commit, so a list is only set when each of its names streams, once, and has on its
// disk what the server had when it was asked; it is merged with what is there, and how to take it back is
// part of what comes out. Names are taken out only while enough of those that stay stream. A session of
// Standfast's own never waits for anybody (client::Connection).
//
// Threading: one thread. Fails with kPrecondition (a standby; a name that does not stream, or does so twice;
// a setting that cannot be changed from here), kTimeout when the server does not
// take the setting up, and as
// statements do.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "pg/client/connection.h"
#include "pg/format/sync_standby_names.h"
#include "setup/environment.h"
#include "setup/primary_setup.h"
#include "setup/sync_facts.h"
#include "setup/witness_table.h"

namespace standfast::setup {

struct SyncChange {
  std::vector<std::string> names = {};  ///< for disable: none means all
  std::optional<pg::SyncMethod> method = {};
  std::optional<std::uint32_t> count = {};
  bool only_these = false;  ///< the list that is there goes
};

struct SyncOutcome {
  SyncFacts before;
  std::string names;  ///< the new value
  bool changed = false;
  bool planned_only = false;
  /// A list without FIRST or ANY, which means FIRST 1, was there and is ANY now.
  bool was_plain_list = false;
  /// Listed, replays nothing, and not in standfast.witness: a promotion would not ask it.
  std::vector<std::string> unknown_witnesses = {};
};

base::Result<SyncOutcome> enable_sync(const client::ConnectOptions& server, const SyncChange& change,
                                      RunMode mode, const SetupEnvironment& environment);
base::Result<SyncOutcome> disable_sync(const client::ConnectOptions& server, const SyncChange& change,
                                       RunMode mode, const SetupEnvironment& environment);

// The parts, for tests; pure.

/// The list that is to be set.
base::Result<pg::SyncStandbyNames> plan_enable(const SyncFacts& facts, const SyncChange& change);
base::Result<pg::SyncStandbyNames> plan_disable(const SyncFacts& facts, const SyncChange& change);
/// Whom the list waits for in vain: those that have not on their disk what the server had at `head`.
std::vector<std::string> stale_names(const pg::SyncStandbyNames& list, const std::vector<WalSender>& senders,
                                     pg::Lsn head);
/// Of the list's, those that replay nothing and are not known as witnesses.
std::vector<std::string> unknown_witnesses(const pg::SyncStandbyNames& list,
                                           const std::vector<WalSender>& senders,
                                           const std::vector<KnownWitness>& known);
/// Those whom commits with remote_apply wait for although nothing is replayed there: all that report no
/// replay.
std::vector<std::string> listed_without_replay(const SyncFacts& facts);

}  // namespace standfast::setup
