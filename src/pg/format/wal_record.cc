#include "pg/format/wal_record.h"

#include <algorithm>
#include <array>

#include "pg/format/versions.h"

namespace standfast::pg {
namespace {

constexpr std::size_t kPaddingBytes = 4;  // between the short header's fields and what follows them
constexpr std::uint8_t kXlogResourceManager = 0;
constexpr std::uint8_t kXlogSwitch = 0x40;
constexpr std::uint8_t kInfoOfResourceManager = 0xF0;
constexpr std::uint8_t kTransactionResourceManager = 1;
constexpr std::uint8_t kDatabaseResourceManager = 4;
constexpr std::uint8_t kOriginId = 253;               // XLR_BLOCK_ID_ORIGIN, two bytes follow
constexpr std::uint8_t kTopTransactionId = 252;       // XLR_BLOCK_ID_TOPLEVEL_XID, four bytes follow
constexpr std::uint8_t kShortDataId = 255;            // XLR_BLOCK_ID_DATA_SHORT, a length of one byte follows
constexpr std::uint8_t kTransactionOperation = 0x70;  // XLOG_XACT_OPMASK
constexpr std::uint8_t kCommit = 0x00;
constexpr std::uint8_t kCommitPrepared = 0x30;

/// XLOG_PAGE_MAGIC, from the oldest supported major on.
constexpr std::array<std::uint16_t, Version::kNewestMajor - Version::kOldestMajor + 1> kMagics = {
    0xD101, 0xD106, 0xD10D, 0xD110, 0xD113, 0xD116, 0xD118};

}  // namespace

std::optional<int> major_of_wal(std::uint16_t magic) {
  const auto found = std::find(kMagics.begin(), kMagics.end(), magic);
  if (found == kMagics.end()) return std::nullopt;
  return Version::kOldestMajor + static_cast<int>(found - kMagics.begin());
}

std::optional<WalPageHeader> parse_wal_page_header(base::Bytes bytes) {
  if (bytes.size() < kWalShortHeaderBytes) return std::nullopt;
  base::ByteReader reader(bytes);
  WalPageHeader header;
  header.magic = *reader.u16_le();
  header.flags = *reader.u16_le();
  header.timeline = TimelineId(*reader.u32_le());
  header.page_at = Lsn(*reader.u64_le());
  header.remaining_bytes = *reader.u32_le();
  if (!header.is_long()) return header;
  if (bytes.size() < kWalLongHeaderBytes) return std::nullopt;
  static_cast<void>(reader.take(kPaddingBytes));
  header.system_id = SystemId(*reader.u64_le());
  header.segment_bytes = *reader.u32_le();
  header.page_bytes = *reader.u32_le();
  return header;
}

bool WalRecordHeader::is_segment_switch() const {
  return resource_manager == kXlogResourceManager && (info & kInfoOfResourceManager) == kXlogSwitch;
}

bool WalRecordHeader::is_commit() const {
  if (resource_manager != kTransactionResourceManager) return false;
  const int operation = info & kTransactionOperation;
  return operation == kCommit || operation == kCommitPrepared;
}

bool WalRecordHeader::is_database_copy() const {
  return resource_manager == kDatabaseResourceManager && (info & kInfoOfResourceManager) == 0;
}

std::optional<DatabaseCopy> parse_database_copy(base::Bytes record) {
  base::ByteReader reader(record);
  if (!reader.take(kWalRecordHeaderBytes)) return std::nullopt;
  // What may stand before a record's own data, which has no pages here.
  auto id = reader.u8();
  while (id == kOriginId || id == kTopTransactionId) {
    if (!reader.take(id == kOriginId ? sizeof(std::uint16_t) : sizeof(std::uint32_t))) return std::nullopt;
    id = reader.u8();
  }
  if (id != kShortDataId || !reader.u8() || reader.remaining() < 4 * sizeof(std::uint32_t))
    return std::nullopt;
  DatabaseCopy copy;
  copy.database = *reader.u32_le();
  copy.tablespace = *reader.u32_le();
  copy.source_database = *reader.u32_le();
  copy.source_tablespace = *reader.u32_le();
  return copy;
}

std::optional<WalRecordHeader> parse_wal_record_header(base::Bytes bytes) {
  if (bytes.size() < kWalRecordHeaderBytes) return std::nullopt;
  base::ByteReader reader(bytes);
  WalRecordHeader header;
  header.total_bytes = *reader.u32_le();
  static_cast<void>(reader.u32_le());  // the transaction
  header.previous = Lsn(*reader.u64_le());
  header.info = *reader.u8();
  header.resource_manager = *reader.u8();
  static_cast<void>(reader.u16_le());  // padding
  header.checksum = *reader.u32_le();
  return header;
}

}  // namespace standfast::pg
