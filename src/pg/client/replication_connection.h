// A connection to a server's WAL sender: physical replication, slots and base backups, in the syntax of each
// version (replication/repl_gram.y; bin/pg_basebackup/streamutil.c and receivelog.c are PostgreSQL's own
// clients of it).
//
// Threading, ownership and errors are Connection's. A server that is not one of ours (too old, too new) is
// refused with kVersion before any statement is sent to it.
// Nothing a server sends can end the program: an answer of an unexpected shape is kProtocol.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "env/stop_event.h"
#include "pg/client/connection.h"
#include "pg/format/backup_stream.h"
#include "pg/format/lsn.h"

namespace standfast::client {

struct SystemIdentity {
  pg::SystemId system_id;
  pg::TimelineId timeline;
  pg::Lsn wal_position;  ///< flushed, or on a standby replayed
};

enum class SlotPersistence : std::uint8_t { kTemporary, kPermanent };
enum class ReserveWal : std::uint8_t { kNo, kYes };

struct NewSlot {
  std::string name;
  SlotPersistence persistence = SlotPersistence::kPermanent;
  ReserveWal reserve = ReserveWal::kYes;
};

struct StartReplication {
  std::optional<std::string> slot = {};
  pg::Lsn start;
  pg::TimelineId timeline;
};

/// What a server says when its timeline has come to an end.
struct NextTimeline {
  pg::TimelineId timeline;
  pg::Lsn starts_at;
};

struct SlotState {
  pg::Lsn restart;  ///< invalid: holds nothing back yet
  std::optional<pg::TimelineId> timeline;
};

enum class BackupCheckpoint : std::uint8_t { kFast, kSpread };

struct BaseBackupOptions {
  std::string label;
  BackupCheckpoint checkpoint = BackupCheckpoint::kSpread;
  bool include_wal = false;        ///< WAL in the archive
  bool wait_for_archiving = true;  ///< of the WAL at the end
  bool manifest = true;            ///< where the server has them
  bool verify_checksums = true;
  std::optional<std::uint64_t> max_rate_bytes_per_second = {};
};

struct BackupPosition {
  pg::Lsn lsn;
  pg::TimelineId timeline;
};

struct BackupStart {
  BackupPosition position;
  std::vector<pg::BackupTablespace> tablespaces;
};

enum class DropSlot : std::uint8_t {
  kWhenFree,  ///< waits until nobody uses it
  kIfFree,    ///< kSlot while somebody does
};

class ReplicationConnection {
 public:
  /// Besides what the options say: replication, and that a dead link is noticed within half a minute (TCP
  /// keepalives), unless the options say otherwise.
  static base::Result<ReplicationConnection> open(const ConnectOptions& options, const env::Wait& wait);

  base::Result<SystemIdentity> identify_system(const env::Wait& wait);
  base::Result<std::string> show(const std::string& setting, const env::Wait& wait);
  base::Result<std::uint64_t> wal_segment_bytes(const env::Wait& wait);
  /// The content of a timeline's history file.
  base::Result<std::string> timeline_history(pg::TimelineId timeline, const env::Wait& wait);

  /// No value: there is no such slot, or the server is too old to say (has_read_replication_slot()).
  base::Result<std::optional<SlotState>> read_slot(const std::string& name, const env::Wait& wait);
  base::Result<void> create_physical_slot(const NewSlot& slot, const env::Wait& wait);
  base::Result<void> drop_slot(const std::string& name, const env::Wait& wait,
                               DropSlot when = DropSlot::kWhenFree);

  /// From here on the messages are receive_copy()'s and send_copy()'s of connection().
  base::Result<void> start_replication(const StartReplication& start, const env::Wait& wait);
  /// As start_replication(); a value where the timeline ends just there, and nothing is streamed.
  base::Result<std::optional<NextTimeline>> start_replication_or_end(const StartReplication& start,
                                                                     const env::Wait& wait);
  /// After the server ended the stream: a value where it was the end of a timeline. No value: it is being
  /// stopped.
  base::Result<std::optional<NextTimeline>> read_end_of_stream(const env::Wait& wait);
  /// Ends the stream from our side, or answers its end; what the server still sends is dropped.
  base::Result<void> end_replication(const env::Wait& wait);

  /// Sends BASE_BACKUP and waits for its two first results; the checkpoint comes before them.
  base::Result<BackupStart> begin_base_backup(const BaseBackupOptions& options, const env::Wait& wait);
  /// The next COPY of the backup begins.
  base::Result<void> begin_backup_copy(const env::Wait& wait);
  /// After the last COPY. kDamaged if the server found pages whose checksum does not match.
  base::Result<BackupPosition> finish_base_backup(const env::Wait& wait);

  Connection& connection() { return connection_; }
  const Connection& connection() const { return connection_; }
  pg::Version server_version() const { return version_; }

 private:
  ReplicationConnection(Connection connection, pg::Version version)
      : connection_(std::move(connection)), version_(version) {}
  base::Result<BackupPosition> expect_position(const env::Wait& wait);
  base::Result<NextTimeline> take_next_timeline(const Rows& rows, const env::Wait& wait);

  Connection connection_;
  pg::Version version_;
};

/// The values that open() adds so that a dead link is noticed.
const std::vector<std::pair<std::string, std::string>>& link_watch_parameters();

// The statements, by version; pure.
std::string base_backup_statement(const BaseBackupOptions& options, pg::Version version);
std::string create_slot_statement(const NewSlot& slot, pg::Version version);
std::string start_replication_statement(const StartReplication& start);

}  // namespace standfast::client
