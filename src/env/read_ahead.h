// A file that is read from one place on, in pieces: the kernel is asked in time for what comes next, in reads
// large enough for a disk to be kept busy, and once for each byte.
//
// Threading: one thread; one for each file and reader. Hints only: nothing fails.
#pragma once

#include <cstdint>

#include "env/file_system.h"

namespace standfast::env {

class ReadAhead {
 public:
  /// That bytes from `offset` to `end` were read, and that more follows. Elsewhere than where the last ones
  /// ended, it begins anew.
  void went_on(File& file, std::uint64_t offset, std::uint64_t end);

 private:
  std::uint64_t goes_on_at_ = 0;
  std::uint64_t asked_until_ = 0;
};

}  // namespace standfast::env
