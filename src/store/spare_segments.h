// Segments written ahead, so that a new one costs no journal: fdatasync into blocks that were written once
// changes nothing but data (access/transam/xlog.c InstallXLogFileSegment() keeps such files for the same
// reason).
//
// Their names, standfast.spare.N, are no WAL to any tool. Each is a new file. A file that has ever had a name
// of WAL does not become one, although PostgreSQL's own pg_wal does that: there the server knows all who
// read. Here a backup's cp, a restore or a connection that serves may hold such a file open or as a hard
// link, or have looked its name up and be about to open it; it would read the bytes of other WAL under the
// old name, as soon as the file is written again. No look from outside tells that nobody is left who does.
//
// Threading: any. Ownership: borrows the FileSystem. Fails: kIo, kDiskFull, kPermission.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>

#include "base/result.h"
#include "env/file_system.h"

namespace standfast::store {

class SpareSegments {
 public:
  SpareSegments(env::FileSystem& files, std::string folder, std::uint64_t segment_bytes, mode_t file_mode);

  /// Finds those that are there, and removes one whose writing was interrupted.
  base::Result<void> find();
  std::size_t count() const;
  /// Renames one to `path`; not durable before the folder is synced. False: there is none.
  base::Result<bool> take(const std::string& path);
  /// Writes one, durably. What could not be written whole is removed.
  base::Result<void> write_one();

 private:
  std::string next_name();
  base::Result<void> write_zeros(const std::string& path);

  env::FileSystem& files_;
  const std::string folder_;
  const std::uint64_t segment_bytes_;
  const mode_t file_mode_;
  mutable std::mutex mutex_;
  std::deque<std::string> names_;
  std::uint64_t next_number_ = 1;
};

}  // namespace standfast::store
