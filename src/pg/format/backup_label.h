// backup_label and tablespace_map (access/transam/xlog.c do_pg_backup_start(), xlogrecovery.c
// read_backup_label() and read_tablespace_map()).
//
// Threading: pure functions on values. Fails: kProtocol with what is missing or not understood.
// A copy must keep the server's text of either file byte for byte; reading it here is for knowing, not for
// writing it again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pg/format/lsn.h"

namespace standfast::pg {

inline constexpr std::size_t kMaxBackupLabelBytes = std::size_t{64} * 1024;
inline constexpr std::size_t kMaxTablespaceMapBytes = std::size_t{16} << 20U;

enum class BackupFrom : std::uint8_t { kPrimary, kStandby };

struct BackupLabel {
  Lsn start;  ///< the redo position: WAL is needed from here
  std::string start_wal_file;
  Lsn checkpoint;
  std::string method;  ///< "streamed", or "pg_start_backup" up to 14
  BackupFrom from = BackupFrom::kPrimary;
  std::string start_time;
  std::string label;
  TimelineId start_timeline;
  std::optional<Lsn> incremental_from;  ///< such a backup cannot be started without the one before it
};

base::Result<BackupLabel> parse_backup_label(std::string_view text);

struct TablespaceMapEntry {
  std::uint32_t oid = 0;
  std::string path;
  bool operator==(const TablespaceMapEntry&) const = default;
};

base::Result<std::vector<TablespaceMapEntry>> parse_tablespace_map(std::string_view text);
/// With line ends and backslashes of a path escaped, as 13 and later write it.
std::string render_tablespace_map(const std::vector<TablespaceMapEntry>& entries);

}  // namespace standfast::pg
