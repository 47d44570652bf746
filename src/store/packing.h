// How segments are packed: LZ4 and zstd frames, as pg_receivewal and the lz4 and zstd programs write and read
// them; gzip is read only. In pieces, so that a segment of a gigabyte takes no more memory than one of 16 MiB
// (bin/pg_basebackup/walmethods.c).
//
// Threading: one thread each. Ownership: own their library's state. Fails: kDamaged for what cannot be
// unpacked; kUsage for a method that is not understood.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "store/wal_folder.h"

namespace standfast::store {

struct Packing {
  SegmentForm form = SegmentForm::kLz4;  ///< kLz4 or kZstd
  int level = 0;                         ///< 0: the library's own default
};
/// pg_receivewal's METHOD[:DETAIL]: "lz4", "zstd:3", "zstd:level=3". No value: "none".
base::Result<std::optional<Packing>> parse_packing(std::string_view text);

class Packer {
 public:
  virtual ~Packer() = default;
  /// Adds what comes of `bytes` to `out`; with `last`, the end of the frame.
  enum class Part : std::uint8_t { kSome, kLast };
  virtual base::Result<void> pack(base::Bytes bytes, Part part, std::string& out) = 0;
};
/// For `total_bytes` in all.
std::unique_ptr<Packer> make_packer(const Packing& packing, std::uint64_t total_bytes);

class Unpacker {
 public:
  virtual ~Unpacker() = default;
  struct Step {
    std::size_t taken = 0;
    std::size_t given = 0;
    bool is_at_frame_end = false;  ///< whatever comes next begins another one
  };
  virtual base::Result<Step> unpack(base::Bytes from, std::span<std::byte> into) = 0;
};
std::unique_ptr<Unpacker> make_unpacker(SegmentForm form);

}  // namespace standfast::store
