#include "agent/range_packing.h"

#include <fmt/format.h>
#include <lz4.h>
#include <zstd.h>

#include "base/check.h"

namespace standfast::agent {
namespace {

using base::Bytes;
using base::Error;
using base::ErrorCode;
using base::Result;

constexpr int kLz4Acceleration = 1;
constexpr int kZstdLevel = 1;
static_assert(kMaxRangeBytes <= LZ4_MAX_INPUT_SIZE);

Error not_unpacked(std::string_view why) {
  return Error(ErrorCode::kProtocol, fmt::format("a range of a file does not unpack: {}", why),
               "See that both hosts have the same version of standfast.");
}

const char* chars(Bytes bytes) {
  return reinterpret_cast<const char*>(bytes.data());
}
char* chars(std::span<std::byte> bytes) {
  return reinterpret_cast<char*>(bytes.data());
}

}  // namespace

RangePacker::RangePacker() : zstd_(nullptr, ZSTD_freeCCtx) {}
RangePacker::~RangePacker() = default;

RangeBytes RangePacker::pack(Bytes plain, Compression wanted) {
  CHECK(plain.size() <= kMaxRangeBytes);
  RangeBytes range{.plain_bytes = static_cast<std::uint32_t>(plain.size()), .bytes = plain};
  if (wanted == Compression::kNone || plain.size() < 2) return range;
  packed_.resize(kMaxRangeBytes);
  // One byte less than it is: what does not get shorter is given up, by the library itself.
  const auto room = std::span(packed_).first(plain.size() - 1);
  const std::size_t size = wanted == Compression::kLz4 ? pack_lz4(plain, room) : pack_zstd(plain, room);
  if (size == 0) return range;
  range.compression = wanted;
  range.bytes = Bytes(packed_).first(size);
  return range;
}

std::size_t RangePacker::pack_lz4(Bytes plain, std::span<std::byte> room) {
  if (lz4_state_.empty()) {
    lz4_state_.resize(static_cast<std::size_t>(LZ4_sizeofState()) / sizeof(std::uint64_t) + 1);
  }
  return static_cast<std::size_t>(
      LZ4_compress_fast_extState(lz4_state_.data(), chars(plain), chars(room), static_cast<int>(plain.size()),
                                 static_cast<int>(room.size()), kLz4Acceleration));
}

std::size_t RangePacker::pack_zstd(Bytes plain, std::span<std::byte> room) {
  if (!zstd_) zstd_.reset(ZSTD_createCCtx());
  CHECK(zstd_ != nullptr);
  const std::size_t size =
      ZSTD_compressCCtx(zstd_.get(), room.data(), room.size(), plain.data(), plain.size(), kZstdLevel);
  return ZSTD_isError(size) ? 0 : size;
}

RangeUnpacker::RangeUnpacker() : zstd_(nullptr, ZSTD_freeDCtx) {}
RangeUnpacker::~RangeUnpacker() = default;

Result<Bytes> RangeUnpacker::unpack(const RangeBytes& range, std::span<std::byte> into) {
  if (range.plain_bytes > kMaxRangeBytes) return not_unpacked("it says that it has more bytes than it may");
  if (range.compression == Compression::kNone) {
    if (range.bytes.size() != range.plain_bytes) return not_unpacked("it has other bytes than it says");
    return range.bytes;
  }
  CHECK(into.size() >= range.plain_bytes);
  if (range.bytes.size() > kMaxRangeBytes) return not_unpacked("it is longer than a range may be");
  // Both write to the room for what the range says and nowhere else, and need no memory that grows with it.
  const auto room = into.first(range.plain_bytes);
  std::size_t size = 0;
  if (range.compression == Compression::kLz4) {
    const int count = LZ4_decompress_safe(
        chars(range.bytes), chars(room), static_cast<int>(range.bytes.size()), static_cast<int>(room.size()));
    if (count < 0) return not_unpacked("lz4 finds it damaged, or longer than it says");
    size = static_cast<std::size_t>(count);
  } else {
    if (!zstd_) zstd_.reset(ZSTD_createDCtx());
    CHECK(zstd_ != nullptr);
    size = ZSTD_decompressDCtx(zstd_.get(), room.data(), room.size(), range.bytes.data(), range.bytes.size());
    if (ZSTD_isError(size)) return not_unpacked(fmt::format("zstd says: {}", ZSTD_getErrorName(size)));
  }
  if (size != room.size()) {
    return not_unpacked(fmt::format("{} bytes came of it where it says {}", size, room.size()));
  }
  return Bytes(room);
}

}  // namespace standfast::agent
