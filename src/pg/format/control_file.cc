#include "pg/format/control_file.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "base/crc32c.h"

namespace standfast::pg {
namespace {

using base::Bytes;
using base::Error;
using base::ErrorCode;
using base::Result;

/// Where things stand. Up to toast's and large objects' chunk sizes all the layouts agree; after them come
/// flags that came and went, the nonce of failed logins, and the CRC of all before it.
namespace offset {
constexpr std::size_t kSystemId = 0;
constexpr std::size_t kControlVersion = 8;
constexpr std::size_t kCatalogVersion = 12;
constexpr std::size_t kState = 16;
constexpr std::size_t kCheckpoint = 32;
constexpr std::size_t kCheckpointCopy = 40;  // struct CheckPoint
constexpr std::size_t kRedo = kCheckpointCopy;
constexpr std::size_t kTimeline = kCheckpointCopy + 8;
constexpr std::size_t kPreviousTimeline = kCheckpointCopy + 12;
constexpr std::size_t kFullPageWrites = kCheckpointCopy + 16;
constexpr std::size_t kMinRecoveryPoint = 136;
constexpr std::size_t kMinRecoveryTimeline = 144;
constexpr std::size_t kBackupStart = 152;
constexpr std::size_t kBackupEnd = 160;
constexpr std::size_t kBackupEndRequired = 168;
constexpr std::size_t kWalLevel = 172;
constexpr std::size_t kWalLogHints = 176;
constexpr std::size_t kMaxConnections = 180;
constexpr std::size_t kMaxWorkerProcesses = 184;
constexpr std::size_t kMaxWalSenders = 188;
constexpr std::size_t kMaxPreparedTransactions = 192;
constexpr std::size_t kMaxLocksPerTransaction = 196;
constexpr std::size_t kBlockBytes = 216;
constexpr std::size_t kSegmentBlocks = 220;
constexpr std::size_t kWalBlockBytes = 224;
constexpr std::size_t kWalSegmentBytes = 228;
constexpr std::size_t kDataChecksumVersion = 252;
}  // namespace offset

/// PG_CONTROL_VERSION and where its CRC stands. 1201: 12; 1300: 13 to 16; 1700: 17; 1800: 18.
struct Layout {
  std::uint32_t control_version;
  std::size_t crc_offset;
};
constexpr Layout kLayouts[] = {{1201, 288}, {1300, 288}, {1700, 288}, {1800, 292}};

std::uint32_t u32_at(Bytes bytes, std::size_t at) {
  return base::ByteReader(bytes.subspan(at)).u32_le().value_or(0);
}
std::uint64_t u64_at(Bytes bytes, std::size_t at) {
  return base::ByteReader(bytes.subspan(at)).u64_le().value_or(0);
}
bool flag_at(Bytes bytes, std::size_t at) {
  return bytes[at] != std::byte{0};
}
Lsn lsn_at(Bytes bytes, std::size_t at) {
  return Lsn(u64_at(bytes, at));
}
TimelineId timeline_at(Bytes bytes, std::size_t at) {
  return TimelineId(u32_at(bytes, at));
}

Error damaged(std::string_view what) {
  return Error(ErrorCode::kDamaged, fmt::format("pg_control: {}", what));
}

Result<Layout> layout_of(Bytes bytes) {
  const std::uint32_t version = u32_at(bytes, offset::kControlVersion);
  const auto* found = std::find_if(std::begin(kLayouts), std::end(kLayouts),
                                   [&](const Layout& layout) { return layout.control_version == version; });
  if (found == std::end(kLayouts)) {
    return Error(ErrorCode::kVersion, fmt::format("pg_control: its version {} is not known", version),
                 "Use a cluster of PostgreSQL 12 to 18 on this kind of machine.");
  }
  return *found;
}

bool is_segment_size(std::uint32_t bytes) {
  constexpr std::uint32_t kSmallest = 1U << 20U;
  constexpr std::uint32_t kLargest = 1U << 30U;
  return bytes >= kSmallest && bytes <= kLargest && (bytes & (bytes - 1)) == 0;
}

/// A CRC that holds over values that cannot be means a file that no PostgreSQL wrote.
Result<void> check_values(Bytes bytes) {
  if (u32_at(bytes, offset::kState) > static_cast<std::uint32_t>(DbState::kInProduction)) {
    return damaged("a state that is not known");
  }
  if (u32_at(bytes, offset::kWalLevel) > static_cast<std::uint32_t>(WalLevel::kLogical)) {
    return damaged("a wal_level that is not known");
  }
  if (!is_segment_size(u32_at(bytes, offset::kWalSegmentBytes))) return damaged("no size of a WAL segment");
  return base::ok();
}

}  // namespace

std::string_view describe(DbState state) {
  switch (state) {
    case DbState::kStartup:
      return "starting up";
    case DbState::kShutDown:
      return "shut down";
    case DbState::kShutDownInRecovery:
      return "shut down in recovery";
    case DbState::kShuttingDown:
      return "shutting down";
    case DbState::kInCrashRecovery:
      return "in crash recovery";
    case DbState::kInArchiveRecovery:
      return "in archive recovery";
    case DbState::kInProduction:
      return "in production";
  }
  return "unrecognized";
}

Result<ControlFile> parse_control_file(Bytes bytes) {
  constexpr std::size_t kLargestLayout = 296;
  if (bytes.size() < kLargestLayout) return damaged("the file is too short");
  const Layout layout = TRY(layout_of(bytes));
  base::Crc32c crc;
  crc.update(bytes.first(layout.crc_offset));
  if (crc.value() != u32_at(bytes, layout.crc_offset)) return damaged("its checksum does not match");
  TRY(check_values(bytes));

  ControlFile file;
  file.system_id = SystemId(u64_at(bytes, offset::kSystemId));
  file.control_version = layout.control_version;
  file.catalog_version = u32_at(bytes, offset::kCatalogVersion);
  file.state = static_cast<DbState>(u32_at(bytes, offset::kState));
  file.checkpoint = lsn_at(bytes, offset::kCheckpoint);
  file.checkpoint_redo = lsn_at(bytes, offset::kRedo);
  file.timeline = timeline_at(bytes, offset::kTimeline);
  file.previous_timeline = timeline_at(bytes, offset::kPreviousTimeline);
  file.full_page_writes = flag_at(bytes, offset::kFullPageWrites);
  file.min_recovery_point = lsn_at(bytes, offset::kMinRecoveryPoint);
  file.min_recovery_timeline = timeline_at(bytes, offset::kMinRecoveryTimeline);
  file.backup_start = lsn_at(bytes, offset::kBackupStart);
  file.backup_end = lsn_at(bytes, offset::kBackupEnd);
  file.backup_end_required = flag_at(bytes, offset::kBackupEndRequired);
  file.wal_level = static_cast<WalLevel>(u32_at(bytes, offset::kWalLevel));
  file.wal_log_hints = flag_at(bytes, offset::kWalLogHints);
  file.max_connections = u32_at(bytes, offset::kMaxConnections);
  file.max_worker_processes = u32_at(bytes, offset::kMaxWorkerProcesses);
  file.max_wal_senders = u32_at(bytes, offset::kMaxWalSenders);
  file.max_prepared_transactions = u32_at(bytes, offset::kMaxPreparedTransactions);
  file.max_locks_per_transaction = u32_at(bytes, offset::kMaxLocksPerTransaction);
  file.block_bytes = u32_at(bytes, offset::kBlockBytes);
  file.segment_blocks = u32_at(bytes, offset::kSegmentBlocks);
  file.wal_block_bytes = u32_at(bytes, offset::kWalBlockBytes);
  file.wal_segment_bytes = u32_at(bytes, offset::kWalSegmentBytes);
  file.data_checksum_version = u32_at(bytes, offset::kDataChecksumVersion);
  return file;
}

}  // namespace standfast::pg
