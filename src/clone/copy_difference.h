// What a copy would have to move, found out without changing anything: an agent's list and its hashes beside
// what lies in the folders now.
//
// Threading: one thread. Ownership: borrows all. Memory: the hashes of a few stretches.
// Fails: as the stream and the file system do; kCancelled.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "agent/messages.h"
#include "base/result.h"
#include "clone/copy_layout.h"
#include "clone/copy_stream.h"
#include "env/file_system.h"
#include "env/stop_event.h"

namespace standfast::clone {

struct CopyDifference {
  std::uint64_t total_bytes = 0;  ///< of the list
  std::uint64_t moved_bytes = 0;  ///< of them that are not there, or are others
  std::uint64_t files = 0;
};

struct DifferenceEnvironment {
  env::FileSystem& files;
  CopyStream& stream;
  const env::StopEvent& stop;
  std::uint32_t run_bytes = 8192;
  /// With the bytes that were looked at so far.
  std::function<void(std::uint64_t done, std::uint64_t total)> on_progress = {};
};
base::Result<CopyDifference> find_difference(std::span<const agent::FileEntry> entries,
                                             const CopyPlaces& places,
                                             const DifferenceEnvironment& environment);

}  // namespace standfast::clone
