// global/pg_control (catalog/pg_control.h ControlFileData) of 12 to 18, little endian, as x86-64 and aarch64
// lay it out. The parts of it that replication asks for.
//
// Threading: pure functions on values.
// Fails: kDamaged if it is too short or its CRC-32C does not hold (a reader of a running server's file tries
// again), kVersion for a layout that is not known or of the other byte order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "pg/format/lsn.h"

namespace standfast::pg {

/// PG_CONTROL_FILE_SIZE: the file is padded with zeros to this.
inline constexpr std::size_t kControlFileBytes = 8192;

enum class DbState : std::uint8_t {
  kStartup = 0,
  kShutDown = 1,
  kShutDownInRecovery = 2,
  kShuttingDown = 3,
  kInCrashRecovery = 4,
  kInArchiveRecovery = 5,
  kInProduction = 6,
};

/// As pg_controldata says it: "in production", "shut down in recovery".
std::string_view describe(DbState state);

enum class WalLevel : std::uint8_t { kMinimal = 0, kReplica = 1, kLogical = 2 };

struct ControlFile {
  SystemId system_id;
  std::uint32_t control_version = 0;
  std::uint32_t catalog_version = 0;
  DbState state = DbState::kStartup;
  Lsn checkpoint;
  Lsn checkpoint_redo;
  TimelineId timeline;           ///< of the checkpoint
  TimelineId previous_timeline;  ///< of the checkpoint
  bool full_page_writes = false;
  Lsn min_recovery_point;
  TimelineId min_recovery_timeline;
  Lsn backup_start;
  Lsn backup_end;
  bool backup_end_required = false;
  WalLevel wal_level = WalLevel::kMinimal;
  bool wal_log_hints = false;
  std::uint32_t max_connections = 0;
  std::uint32_t max_worker_processes = 0;
  std::uint32_t max_wal_senders = 0;
  std::uint32_t max_prepared_transactions = 0;
  std::uint32_t max_locks_per_transaction = 0;
  std::uint32_t block_bytes = 0;
  std::uint32_t segment_blocks = 0;  ///< of a relation's file but its last
  std::uint32_t wal_block_bytes = 0;
  std::uint32_t wal_segment_bytes = 0;
  std::uint32_t data_checksum_version = 0;  ///< 0: no page checksums

  bool is_in_recovery() const {
    return state == DbState::kInArchiveRecovery || state == DbState::kShutDownInRecovery;
  }
};

base::Result<ControlFile> parse_control_file(base::Bytes bytes);

}  // namespace standfast::pg
