// The backup_manifest of a copy that was not sent by a server (backup/backup_manifest.c): from the files as
// they lie in the folder, with CRC-32C, so that pg_verifybackup checks the copy with it.
//
// Files whose CRC was computed while they were written are not read again; the others are, by the file system
// that the copy was written through.
//
// Threading: one thread. Ownership: borrows all. Memory: one buffer; the text is written as it is made.
// Fails: kDamaged for a file that is not as long as was noted, kProtocol for a history that does not lead
// from the backup's start to its end, kCancelled, kIo, kDiskFull.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "clone/copy_book.h"
#include "clone/swap.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/format/manifest.h"
#include "pg/format/timeline_history.h"
#include "pg/format/versions.h"

namespace standfast::clone {

struct BackupSpan {
  pg::Lsn start;
  pg::TimelineId start_timeline;
  pg::Lsn stop;
  pg::TimelineId stop_timeline;
};
/// The newest first. `history`: of the timeline that it stopped on; not needed where it is the one that it
/// started on.
base::Result<std::vector<pg::ManifestWalRange>> manifest_wal_ranges(
    const BackupSpan& span, const std::optional<pg::TimelineHistory>& history);

struct ManifestFacts {
  pg::Version version;  ///< of the server; before 13 there are no manifests, and none is written
  pg::SystemId system_id;
  std::vector<pg::ManifestWalRange> wal_ranges;
};
struct ManifestTarget {
  std::string place;
  mode_t mode = 0600;
  SyncFiles sync = SyncFiles::kYes;
};

/// A file that the copy's caller wrote, such as backup_label, as the manifest has to name it.
base::Result<CopiedFile> copied_file(env::FileSystem& files, const std::string& manifest_path,
                                     const std::string& place);
/// Reads those that lack a CRC.
base::Result<void> complete_checksums(env::FileSystem& files, std::span<CopiedFile> copied,
                                      const env::StopEvent& stop);
/// All of them have one (CHECK). The folder is the caller's to sync.
base::Result<void> write_manifest(env::FileSystem& files, const ManifestTarget& target,
                                  const ManifestFacts& facts, std::span<const CopiedFile> copied);

}  // namespace standfast::clone
