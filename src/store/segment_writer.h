// WAL segments written into a folder under their final names, as a data directory's pg_wal has them
// (bin/pg_basebackup/walmethods.c).
//
// Each segment gets its full size, the end filled with zeros if it is not complete. With archive status a
// NAME.done is put beside each, so that a server started on the copy does not archive WAL that its primary
// has archived already.
//
// Threading: one thread. Ownership: owns the open file; borrows the FileSystem.
// Invariants: at most one segment is open; after flush() everything written is durable, names included.
// Fails: kIo, kDiskFull, kPermission. After a failed fsync every later call fails: what the kernel still
// holds cannot be trusted.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "env/file_system.h"
#include "pg/format/lsn.h"

namespace standfast::store {

enum class ArchiveStatus : std::uint8_t { kNone, kMarkDone };
enum class Durability : std::uint8_t { kSync, kNone };

class SegmentWriter {
 public:
  struct Options {
    std::string folder;  ///< exists; and archive_status in it, if that is to be written
    pg::TimelineId timeline;
    std::uint64_t segment_bytes = 0;
    mode_t file_mode = 0600;
    ArchiveStatus archive_status = ArchiveStatus::kMarkDone;
    Durability durability = Durability::kSync;
  };
  SegmentWriter(env::FileSystem& files, Options options);

  /// Bytes that do not cross a segment's end.
  base::Result<void> write(pg::Lsn at, base::Bytes bytes);
  base::Result<void> flush();
  /// Fills up, makes durable, marks and closes the open segment, if there is one.
  base::Result<void> finish_segment();
  /// A timeline's history file.
  base::Result<void> write_history(pg::TimelineId timeline, std::string_view content);

 private:
  struct Open {
    pg::Lsn start;
    std::string name;
    std::unique_ptr<env::File> file;
    std::uint64_t filled_bytes = 0;
  };
  base::Result<void> open(pg::Lsn segment_start);
  base::Result<void> fill_up();
  base::Result<void> mark_done(const std::string& name);
  base::Result<void> sync_folder();

  env::FileSystem& files_;
  Options options_;
  std::optional<Open> open_;
  bool folder_is_durable_ = true;
  std::optional<base::Error> sync_failure_;
};

}  // namespace standfast::store
