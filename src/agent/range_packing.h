// One range of a file, packed for the link: an LZ4 block or a zstd frame of level 1, each range by itself, so
// that any of them can be asked for again.
//
// Threading: one thread each. Ownership: own their library's state, which is made when it is first needed and
// used again for each range; what is returned views the packer's buffer, until the next call, or the
// argument. Invariants: a range takes at most kMaxRangeBytes, packed or not; one that would not get shorter
// stays as it is. Fails: kProtocol for what does not unpack to exactly the bytes that it says.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "agent/messages.h"
#include "base/bytes.h"
#include "base/result.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace standfast::agent {

class RangePacker {
 public:
  RangePacker();
  ~RangePacker();
  RangePacker(const RangePacker&) = delete;
  RangePacker& operator=(const RangePacker&) = delete;

  /// An answer that is ready to be encoded. `plain`: at most kMaxRangeBytes.
  RangeBytes pack(base::Bytes plain, Compression wanted);

 private:
  std::size_t pack_lz4(base::Bytes plain, std::span<std::byte> room);
  std::size_t pack_zstd(base::Bytes plain, std::span<std::byte> room);

  std::vector<std::byte> packed_;
  std::vector<std::uint64_t> lz4_state_;  ///< LZ4 wants it aligned for such
  std::unique_ptr<ZSTD_CCtx_s, std::size_t (*)(ZSTD_CCtx_s*)> zstd_;
};

class RangeUnpacker {
 public:
  RangeUnpacker();
  ~RangeUnpacker();
  RangeUnpacker(const RangeUnpacker&) = delete;
  RangeUnpacker& operator=(const RangeUnpacker&) = delete;

  /// The plain bytes: a view of `into`, which has room for them (kMaxRangeBytes is always enough), or, where
  /// nothing is packed, of the range itself. After an error `into` holds anything.
  base::Result<base::Bytes> unpack(const RangeBytes& range, std::span<std::byte> into);

 private:
  std::unique_ptr<ZSTD_DCtx_s, std::size_t (*)(ZSTD_DCtx_s*)> zstd_;
};

}  // namespace standfast::agent
