// A run of a file's bytes that waits in memory for the next flush. It lies in memory as it lies in the file,
// so that its whole blocks can go to the device past the page cache: where much comes in, filling the cache
// costs more than all the rest together. Of little, the cache is what its readers want, and it goes there.
//
// Threading: one thread at a time. Ownership: owns its memory. Invariant: holds at most kMaxBytes, and ends
// at a multiple of them in the file. write_to() fails as File::write_at(); then an unknown part was written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "env/file_system.h"

namespace standfast::store {

/// One file, opened for both ways of writing to it.
struct FileToFill {
  std::unique_ptr<env::File> cached;
  std::unique_ptr<env::File> direct;  ///< null where that is refused
};

class StagedBytes {
 public:
  static constexpr std::size_t kMaxBytes = std::size_t{1} << 20U;
  /// Fewer go through the cache.
  static constexpr std::size_t kLeastDirectBytes = std::size_t{256} << 10U;

  StagedBytes();
  /// Empty again, and for what comes at `offset` of a file.
  void begin(std::uint64_t offset);
  /// Copies from the front of `bytes` what there is room for; how many these were.
  std::size_t take(base::Bytes bytes);
  base::Result<void> write_to(FileToFill& file) const;

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  base::Result<void> write_blocks(FileToFill& file, std::uint64_t offset, base::Bytes blocks) const;

  std::unique_ptr<std::byte, Free> memory_;  ///< what is at a block's start in the file is at one's here
  std::uint64_t offset_ = 0;
  std::size_t size_ = 0;
};

}  // namespace standfast::store
