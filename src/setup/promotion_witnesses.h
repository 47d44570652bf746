// What the witnesses of a cluster hold that a standby does not, asked before it is promoted.
//
// Promotion loses no acknowledged commit because of this check, and of nothing else: recovery takes the exit
// code 1 of a restore_command for the end of WAL (access/transam/xlogrecovery.c), so a store that is merely
// away looks just like one that has no more. Hence a witness that cannot be asked is one that may have more.
//
// Which there are says the table of witness_table.h, which the standby has by replication, and the user. They
// are asked by the replication protocol, with the standby's own replication login: user and password that it
// has for its primary. Over TLS nothing pins their certificate; channel binding makes them prove that they
// know the password's verifier, and shows them no password.
//
// Threading: one thread. Fails: never for a witness that gives no answer, which is a finding; as files do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "pg/format/conninfo.h"
#include "pg/format/lsn.h"
#include "pg/format/timeline_history.h"
#include "setup/environment.h"
#include "setup/server_facts.h"
#include "setup/witness_table.h"

namespace standfast::setup {

enum class WitnessState : std::uint8_t {
  kHasNoMore,    ///< than the standby
  kIsAhead,      ///< and the standby can get it from there
  kDiverged,     ///< it has WAL of a line that the standby is not on
  kUnreachable,  ///< or it cannot be understood, or is of another cluster
  kGivenUp,      ///< it is not asked, or not followed: the user does without it
};
/// "has_no_more", "ahead", "diverged", "cannot_be_asked", "given_up"
std::string_view name_of(WitnessState state);

/// Where somebody is. A flush position means something on its timeline only.
struct WalPosition {
  pg::TimelineId timeline;
  pg::Lsn lsn;
};

struct WitnessJudgement {
  WitnessState state = WitnessState::kUnreachable;
  std::uint64_t bytes_ahead = 0;
  std::string why = {};
};
/// Two timelines of one number are one line only where they began at one place. Each side's history is that
/// of its own timeline; timeline 1 needs none, and any other that is missing is not taken for harmless.
struct Histories {
  std::optional<pg::TimelineHistory> standby = {}, witness = {};
};
WitnessJudgement judge_witness(const WalPosition& standby, const WalPosition& witness,
                               const Histories& histories);

/// How a standby logs in for replication.
struct ReplicationLogin {
  pg::Conninfo conninfo;  ///< its primary_conninfo, without the password
  std::optional<base::Secret> password;
};
/// With the password from where its walreceiver takes it: primary_conninfo itself, its passfile, ~/.pgpass.
base::Result<ReplicationLogin> replication_login_of(const std::string& primary_conninfo,
                                                    env::FileSystem& files);

/// A witness to ask: of the table, or as the user gave it.
struct WitnessToAsk {
  std::string name;  ///< "" of one that the user gave
  std::vector<std::pair<std::string, std::string>> parameters;
  std::string cannot_be_asked_because = {};  ///< "" where it can
};
WitnessToAsk to_ask(const KnownWitness& witness);
/// kUsage for what is no connection string, and for one with a password in it, which others could see.
base::Result<WitnessToAsk> witness_by_hand(const std::string& conninfo);

/// Where that login leads when it goes to a witness. No password is in it.
pg::Conninfo conninfo_towards(const ReplicationLogin& login, const WitnessToAsk& witness, pg::Version libpq);

struct WitnessBefore {
  std::string name;
  std::string where;  ///< "10.20.20.3 port 5433"
  std::optional<WalPosition> position = {};
  WitnessJudgement judgement = {};
  std::optional<pg::TimelineHistory> history = {};                   ///< of its timeline
  pg::Conninfo conninfo = {};                                        ///< how the standby can stream from it
  std::vector<std::pair<std::string, std::string>> parameters = {};  ///< WitnessToAsk::parameters

  std::string describe() const;  ///< `witness "witness1" at 10.20.20.3 port 5433`
};

struct StandbyToPromote {
  pg::SystemId system_id;
  std::optional<WalPosition> position;  ///< none where the standby could not be asked
  std::string data_directory;
  pg::Version version;
};
base::Result<WitnessBefore> ask_witness(const WitnessToAsk& witness, const ReplicationLogin& login,
                                        const StandbyToPromote& standby, const SetupEnvironment& environment);

/// Of the file in pg_wal; none where it is missing or not understood.
std::optional<pg::TimelineHistory> history_on_disk(const std::string& data_directory, pg::TimelineId timeline,
                                                   env::FileSystem& files);

// What follows from the answers.

/// Why the standby must not be promoted, in one line; none: no witness has more than it can get. Of witnesses
/// on different lines it could follow one only, and not come back.
std::optional<std::string> reason_to_refuse(const std::vector<WitnessBefore>& witnesses);
/// What to do about it, with the options that name the witnesses.
std::string ways_out(const std::vector<WitnessBefore>& witnesses);
/// The one to stream from; null where none is ahead.
const WitnessBefore* furthest_ahead(const std::vector<WitnessBefore>& witnesses);
/// One that has more than when it was asked before: somebody still writes. Null where none has.
const WitnessBefore* one_that_moved(const std::vector<WitnessBefore>& before,
                                    const std::vector<WitnessBefore>& now);

}  // namespace standfast::setup
