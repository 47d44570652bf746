// Where the WAL of a folder ends, proven. A file that was padded proves nothing by its size, and the page
// cache proves nothing about the disk (wal_store.h says why), so the segments that never got their final name
// are fsynced, read from the device and followed record by record.
//
// Threading: one thread; nobody else writes to the folder. Fails: kIo, kPermission, kDiskFull; kDamaged where
// a whole segment that the end depends on is damaged; kPrecondition where segments are missing in the middle.
// Changes in the folder: .partial segments that prove to be full get their final names; those behind the end
// are removed, but not of a timeline that was left; where the device cannot be read, the last one is written
// anew. All of it is durable when it returns.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "pg/format/lsn.h"
#include "wal/record_scanner.h"

namespace standfast::store {

/// Where the WAL that is in the folder ends.
struct Tail {
  pg::TimelineId timeline;
  /// The next byte that is wanted: the proven end, or the start of a segment that cannot be proven by itself.
  pg::Lsn resume_at;
  /// The end of the last record that is proven; invalid where nothing is.
  pg::Lsn proven_end;
};

struct ProvenTail {
  Tail tail;
  wal::RecordScanner scanner;  ///< stands at resume_at
  pg::Lsn proof_from;          ///< what lies before it was not needed
};

struct TailProofOptions {
  std::string folder;
  std::uint64_t segment_bytes = 0;
  std::optional<pg::SystemId> system_id = {};
  mode_t file_mode = 0600;
};
/// Where the record begins that goes on at a segment's start. Where none does, it is the one that ended
/// there: nothing else is proven while no record of the segment is whole.
inline pg::Lsn last_proof(const wal::RecordScanner& at_segment_start) {
  const pg::Lsn end = at_segment_start.complete_end();
  return end < at_segment_start.position() ? end : at_segment_start.last_record().value_or(end);
}

/// Of the newest timeline. No value: the folder has no segment.
base::Result<std::optional<ProvenTail>> prove_tail(env::FileSystem& files, const TailProofOptions& options);
/// Of one that was left. No value: the folder has no segment of it.
base::Result<std::optional<ProvenTail>> prove_tail_of(env::FileSystem& files, const TailProofOptions& options,
                                                      pg::TimelineId timeline);

}  // namespace standfast::store
