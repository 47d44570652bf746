// WAL as it lies in pages: the headers of a page and of a record (access/xlog_internal.h XLogPageHeaderData,
// XLogLongPageHeaderData; access/xlogrecord.h XLogRecord). Integers are little-endian: WAL is written in the
// byte order of its server, and Standfast runs where its servers do.
//
// Pure functions on values. A header that is cut off gives no value; whether its fields make sense is for the
// reader to judge.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "pg/format/lsn.h"

namespace standfast::pg {

inline constexpr std::uint64_t kWalPageBytes = 8192;  ///< XLOG_BLCKSZ; a server built otherwise is refused
inline constexpr std::uint64_t kWalAlignment = 8;     ///< records begin at multiples of it (MAXALIGN)
inline constexpr std::size_t kWalShortHeaderBytes = 24;
inline constexpr std::size_t kWalLongHeaderBytes = 40;
inline constexpr std::size_t kWalRecordHeaderBytes = 24;
/// Of the record's header, the part before its checksum, which the checksum covers last.
inline constexpr std::size_t kWalRecordChecksumOffset = 20;
/// XLogRecordMaxSize of 16 on; what older servers can write is not longer either (MaxAllocSize).
inline constexpr std::uint32_t kMaxWalRecordBytes = 1U << 30U;

inline constexpr std::uint16_t kWalPageContinuesRecord = 0x0001;  ///< XLP_FIRST_IS_CONTRECORD
inline constexpr std::uint16_t kWalPageHasLongHeader = 0x0002;    ///< XLP_LONG_HEADER
inline constexpr std::uint16_t kWalPageAbandonsRecord = 0x0008;   ///< XLP_FIRST_IS_OVERWRITE_CONTRECORD
inline constexpr std::uint16_t kWalPageKnownFlags = 0x000F;       ///< XLP_ALL_FLAGS

struct WalPageHeader {
  std::uint16_t magic = 0;
  std::uint16_t flags = 0;
  TimelineId timeline;
  Lsn page_at;
  std::uint32_t remaining_bytes = 0;  ///< of the record that continues here
  // Of the long header, which the first page of a segment has.
  SystemId system_id;
  std::uint32_t segment_bytes = 0;
  std::uint32_t page_bytes = 0;

  bool is_long() const { return (flags & kWalPageHasLongHeader) != 0; }
  std::size_t size_bytes() const { return is_long() ? kWalLongHeaderBytes : kWalShortHeaderBytes; }
};
/// From the first kWalShortHeaderBytes; the long header's fields too where it says it is long, and then all
/// kWalLongHeaderBytes are needed.
std::optional<WalPageHeader> parse_wal_page_header(base::Bytes bytes);

/// The major version whose servers write pages with this magic number; no value for one that is not known.
std::optional<int> major_of_wal(std::uint16_t magic);

struct WalRecordHeader {
  std::uint32_t total_bytes = 0;  ///< header included
  Lsn previous;                   ///< where the record before this one begins
  std::uint8_t info = 0;
  std::uint8_t resource_manager = 0;
  std::uint32_t checksum = 0;  ///< CRC-32C of what follows the header, then of the header up to this field

  /// XLOG_SWITCH: the rest of the segment is not used.
  bool is_segment_switch() const;
  /// XLOG_XACT_COMMIT and XLOG_XACT_COMMIT_PREPARED, which each major has the same numbers for.
  bool is_commit() const;
  /// XLOG_DBASE_CREATE, since 15 XLOG_DBASE_CREATE_FILE_COPY.
  bool is_database_copy() const;
};
std::optional<WalRecordHeader> parse_wal_record_header(base::Bytes bytes);

/// A database's folder is copied as files (commands/dbcommands_xlog.h xl_dbase_create_file_copy_rec).
struct DatabaseCopy {
  std::uint32_t database = 0;
  std::uint32_t tablespace = 0;
  std::uint32_t source_database = 0;
  std::uint32_t source_tablespace = 0;
};
/// From the bytes of a whole record, without headers of pages, whose header is_database_copy().
std::optional<DatabaseCopy> parse_database_copy(base::Bytes record);

constexpr Lsn align_wal(Lsn position) {
  return Lsn((position.value() + kWalAlignment - 1) / kWalAlignment * kWalAlignment);
}

}  // namespace standfast::pg
