// A finished segment is replaced by a packed one that was proven to hold the same.
//
// In this order: the packed bytes are written to standfast.packed, which no tool takes for WAL, and fsynced;
// they are read back, unpacked and compared with the original byte for byte; the file is renamed, the folder
// fsynced; only then the original goes. A run that was cut off leaves the original, or both; the next one
// begins anew. The original is removed and not written to: somebody may be reading it.
//
// Threading: one thread; nobody else packs in the folder. Ownership: borrows the FileSystem. Fails: kIo,
// kDiskFull, kPermission; kDamaged where what was read back differs; kCancelled. The original is there then.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "store/packing.h"
#include "store/wal_folder.h"

namespace standfast::store {

struct CompressOptions {
  std::string folder;
  std::uint64_t segment_bytes = 0;
  mode_t file_mode = 0600;
  Packing packing;
};
/// Of a segment that is whole. Its size then.
base::Result<std::uint64_t> compress_segment(env::FileSystem& files, const CompressOptions& options,
                                             const SegmentEntry& segment, const env::StopEvent& stop);

}  // namespace standfast::store
