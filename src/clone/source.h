// The server a copy comes from: connecting to it, what must be known of it, and its slots.
//
// Threading: one thread. Ownership: owns its connections until they are taken.
// Fails: as ReplicationConnection; kPrecondition when it is not the system that was expected.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/reporter.h"
#include "base/result.h"
#include "clone/clone.h"
#include "clone/tree_writer.h"
#include "pg/client/replication_connection.h"

namespace standfast::clone {

constexpr base::Seconds kConnectTimeout(30);
constexpr base::Seconds kCommandTimeout(60);

struct SourceFacts {
  client::SystemIdentity identity;
  pg::Version version;
  /// Up to 13 a primary with default_transaction_read_only = on cannot be told from one, and is taken for
  /// what it is not said to be: a primary.
  bool is_standby = false;
  bool is_on_this_host = false;  ///< by its socket or its address
  std::uint64_t wal_segment_bytes = 0;
  TreeModes modes;
};

/// The one that reports what it flushed has a name of its own: by the user's it could count as a synchronous
/// standby, and commits would rely on a copy that is not there yet.
enum class SourceUse : std::uint8_t { kBackup, kWal };
base::Result<client::ReplicationConnection> connect_to_source(const CloneOptions& options, SourceUse use,
                                                              const env::StopEvent& stop);
base::Result<SourceFacts> look_at_source(client::ReplicationConnection& connection,
                                         const CloneOptions& options, const env::StopEvent& stop);

/// What a copy that failed has left for the next run.
enum class Left : std::uint8_t { kNothing, kPart };
/// What to do when the source has been promoted, or its timeline has ended.
std::string_view hint_after_promotion(Left left);

/// What a standby says when it cannot be copied, or not any more: as an error of the state it is in, with
/// what to do about it.
base::Error as_standby_error(base::Error error, Left left = Left::kPart);

/// Whether the slot can be streamed from: it exists, nobody uses it, it has not lost its WAL. Found out by
/// doing it for a moment. With kYes it holds back WAL from `at` on afterwards.
base::Result<void> try_slot(client::ReplicationConnection& connection, const std::string& slot,
                            const client::BackupPosition& at, client::ReserveWal reserve,
                            const env::Wait& wait);

/// What a server says of a slot, as SQLSTATE (utils/errcodes.txt).
constexpr std::string_view kSlotUndefined = "42704";   ///< undefined_object
constexpr std::string_view kSlotInUse = "55006";       ///< object_in_use
constexpr std::string_view kSlotWrongState = "55000";  ///< object_not_in_prerequisite_state
constexpr std::string_view kAllSlotsInUse = "53400";   ///< configuration_limit_exceeded

struct DropRules {
  client::DropSlot when = client::DropSlot::kWhenFree;
  std::optional<pg::SystemId> only_on = {};  ///< kPrecondition where another cluster answers
};
/// Drops a slot over a connection of its own, within kSlotDropTimeout, whether stopped or not.
constexpr base::Seconds kSlotDropTimeout(10);
base::Result<void> drop_slot(const client::ConnectOptions& connect, const std::string& slot,
                             const DropRules& rules = {});
/// The statement that does it by hand.
std::string drop_statement(const std::string& slot);

}  // namespace standfast::clone
