// A segment's content from its beginning, in whatever form it is kept: as it is, or packed by Standfast,
// pg_receivewal, lz4, zstd or gzip. Memory does not grow with the segment.
//
// Threading: one thread. Ownership: owns its file. Fails: kIo, kPermission; kDamaged for a packed file that
// cannot be unpacked, ends early or holds more than a segment, at the latest when its last byte is read.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "env/file_system.h"
#include "store/wal_folder.h"

namespace standfast::store {

class SegmentSource {
 public:
  virtual ~SegmentSource() = default;
  /// Fills as much as there is; zero at the end. Never more than a segment in all.
  virtual base::Result<std::size_t> read(std::span<std::byte> into) = 0;
  /// Goes on so many bytes further; less, where there is less.
  virtual base::Result<void> skip(std::uint64_t bytes);
};
base::Result<std::unique_ptr<SegmentSource>> open_segment_source(env::FileSystem& files,
                                                                 const std::string& folder,
                                                                 const SegmentEntry& entry,
                                                                 std::uint64_t segment_bytes);
/// The same of a file of any name.
base::Result<std::unique_ptr<SegmentSource>> open_segment_file(env::FileSystem& files,
                                                               const std::string& path, SegmentForm form,
                                                               std::uint64_t segment_bytes);

}  // namespace standfast::store
