// Rows in, a table and a verdict out: who takes part in replication, how far each is behind, and what is
// wrong.
//
// Threading: pure functions on values. Fails: never; what cannot be known is absent, and said in a note.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "setup/server_facts.h"
#include "setup/unfinished_slot.h"
#include "setup/witness_table.h"

namespace standfast::setup {

/// kWitness: keeps WAL, and is known as a witness to the database; kReceiver: the same of one that is not.
enum class MemberRole : std::uint8_t { kPrimary, kStandby, kWitness, kReceiver, kLogical, kBackup, kSlot };
std::string_view describe(MemberRole role);

struct SlotUse {
  std::string name;
  bool is_active = false;
  std::optional<std::uint64_t> held_bytes;  ///< WAL kept because of it
  std::string wal_status;
  std::optional<std::int64_t> safe_wal_bytes;
};

struct Member {
  std::string name;
  std::string host;
  MemberRole role = MemberRole::kStandby;
  /// Whom it follows, and against whose position its lag is measured: "primary", "standby pgstandby1",
  /// "10.20.20.1 port 5432" of a server that was not asked; "" for a primary.
  std::string from;
  std::string state;
  std::optional<pg::TimelineId> timeline;
  std::optional<pg::Lsn> sent, write, flush, replay;
  std::optional<std::uint64_t> lag_bytes;
  /// As the sender above measured it. A standby alone cannot tell: the age of what it replayed last is the
  /// age of the last transaction, and on an idle pair that is hours.
  std::optional<std::chrono::milliseconds> lag_time;
  std::string sync_state;
  std::optional<SlotUse> slot;
};

struct MaxLag {
  std::optional<std::uint64_t> bytes = {};
  std::optional<std::chrono::milliseconds> time = {};
};
/// "16MB", "512kB", "1GB", "4096": bytes in PostgreSQL's units; "30s", "500ms", "5min", "1h": a time. kUsage.
base::Result<MaxLag> parse_max_lag(std::string_view text);

enum class Source : std::uint8_t { kUser, kPrimaryConninfo };

/// A server that was asked for and gave no answer. One that the user named is a finding; one that we came
/// upon by ourselves is a note.
struct Unreachable {
  std::string what;  ///< "the server at 10.20.20.2:5432"
  base::Error error;
  Source source = Source::kUser;
};

struct StatusInput {
  std::vector<ServerFacts> servers;  ///< at least one, where nothing is unfinished
  std::vector<KnownWitness> witnesses = {};
  std::vector<std::string> remote_apply = {};  ///< of the primary: SyncFacts::remote_apply
  std::vector<Unreachable> unreachable = {};
  std::vector<UnfinishedCopy> unfinished = {};
  MaxLag max_lag = {};
};

/// One thing that is wrong.
struct Finding {
  base::ErrorCode code = base::ErrorCode::kFailed;
  std::string message;
  std::string hint;
};

struct StatusReport {
  std::vector<ServerFacts> servers;
  std::vector<Member> members;
  std::vector<Finding> findings;  ///< the most serious first
  std::vector<std::string> notes;
  std::vector<UnfinishedCopy> unfinished = {};
  std::vector<ViewRows> views = {};

  /// 0, or the exit code of the first finding.
  int exit_code() const;
};

StatusReport make_report(const StatusInput& input);

}  // namespace standfast::setup
