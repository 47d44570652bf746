#include "store/packing.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>
#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>

#include "base/check.h"

namespace standfast::store {
namespace {

using base::Bytes;
using base::Error;
using base::ErrorCode;
using base::Result;

constexpr int kMaxLz4Level = 12;
constexpr int kMaxZstdLevel = 19;      // beyond it a packer wants hundreds of megabytes
constexpr int kMaxZstdWindowLog = 27;  // 128 MiB, the most that the zstd program takes unasked
constexpr int kGzipOnly = 16 + MAX_WBITS;
constexpr std::size_t kMaxLz4PieceBytes = std::size_t{1} << 20U;

Error not_packed(std::string_view method, std::string_view why) {
  return Error(ErrorCode::kIo, fmt::format("{} does not pack: {}", method, why));
}

Error not_unpacked(std::string_view method, std::string_view why) {
  return Error(ErrorCode::kDamaged, fmt::format("{} does not unpack it: {}", method, why));
}

// ---------------------------------------------------------------- LZ4

class Lz4Packer final : public Packer {
 public:
  Lz4Packer(int level, std::uint64_t total_bytes) {
    CHECK(!LZ4F_isError(LZ4F_createCompressionContext(&context_, LZ4F_VERSION)));
    preferences_.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
    preferences_.frameInfo.contentSize = total_bytes;
    preferences_.compressionLevel = level;
  }
  ~Lz4Packer() override { LZ4F_freeCompressionContext(context_); }

  Result<void> pack(Bytes bytes, Part part, std::string& out) override {
    if (!has_begun_) {
      TRY(append(out, LZ4F_HEADER_SIZE_MAX, [&](char* to, std::size_t room) {
        return LZ4F_compressBegin(context_, to, room, &preferences_);
      }));
      has_begun_ = true;
    }
    while (!bytes.empty()) {
      const Bytes piece = bytes.first(std::min(bytes.size(), kMaxLz4PieceBytes));
      bytes = bytes.subspan(piece.size());
      TRY(append(out, LZ4F_compressBound(piece.size(), &preferences_), [&](char* to, std::size_t room) {
        return LZ4F_compressUpdate(context_, to, room, piece.data(), piece.size(), nullptr);
      }));
    }
    if (part == Part::kSome) return base::ok();
    return append(out, LZ4F_compressBound(0, &preferences_),
                  [&](char* to, std::size_t room) { return LZ4F_compressEnd(context_, to, room, nullptr); });
  }

 private:
  template <typename Write>
  static Result<void> append(std::string& out, std::size_t room, const Write& write) {
    const std::size_t before = out.size();
    out.resize(before + room);
    const std::size_t count = write(out.data() + before, room);
    if (LZ4F_isError(count)) return not_packed("lz4", LZ4F_getErrorName(count));
    out.resize(before + count);
    return base::ok();
  }

  LZ4F_cctx* context_ = nullptr;
  LZ4F_preferences_t preferences_{};
  bool has_begun_ = false;
};

class Lz4Unpacker final : public Unpacker {
 public:
  Lz4Unpacker() { CHECK(!LZ4F_isError(LZ4F_createDecompressionContext(&context_, LZ4F_VERSION))); }
  ~Lz4Unpacker() override { LZ4F_freeDecompressionContext(context_); }

  Result<Step> unpack(Bytes from, std::span<std::byte> into) override {
    std::size_t taken = from.size();
    std::size_t given = into.size();
    const std::size_t wanted = LZ4F_decompress(context_, into.data(), &given, from.data(), &taken, nullptr);
    if (LZ4F_isError(wanted)) return not_unpacked("lz4", LZ4F_getErrorName(wanted));
    return Step{taken, given, wanted == 0};
  }

 private:
  LZ4F_dctx* context_ = nullptr;
};

// ---------------------------------------------------------------- zstd

class ZstdPacker final : public Packer {
 public:
  ZstdPacker(int level, std::uint64_t total_bytes) : context_(ZSTD_createCCtx()) {
    CHECK(context_ != nullptr);
    CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel, level)));
    CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(context_, ZSTD_c_checksumFlag, 1)));
    CHECK(!ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(context_, total_bytes)));
  }
  ~ZstdPacker() override { ZSTD_freeCCtx(context_); }

  Result<void> pack(Bytes bytes, Part part, std::string& out) override {
    ZSTD_inBuffer from{bytes.data(), bytes.size(), 0};
    while (true) {
      const std::size_t before = out.size();
      out.resize(before + ZSTD_CStreamOutSize());
      ZSTD_outBuffer into{out.data() + before, out.size() - before, 0};
      const std::size_t left =
          ZSTD_compressStream2(context_, &into, &from, part == Part::kLast ? ZSTD_e_end : ZSTD_e_continue);
      out.resize(before + into.pos);
      if (ZSTD_isError(left)) return not_packed("zstd", ZSTD_getErrorName(left));
      if (part == Part::kLast ? left == 0 : from.pos == from.size) return base::ok();
    }
  }

 private:
  ZSTD_CCtx* context_;
};

class ZstdUnpacker final : public Unpacker {
 public:
  ZstdUnpacker() : context_(ZSTD_createDCtx()) {
    CHECK(context_ != nullptr);
    CHECK(!ZSTD_isError(ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, kMaxZstdWindowLog)));
  }
  ~ZstdUnpacker() override { ZSTD_freeDCtx(context_); }

  Result<Step> unpack(Bytes bytes, std::span<std::byte> room) override {
    ZSTD_inBuffer from{bytes.data(), bytes.size(), 0};
    ZSTD_outBuffer into{room.data(), room.size(), 0};
    const std::size_t left = ZSTD_decompressStream(context_, &into, &from);
    if (ZSTD_isError(left)) return not_unpacked("zstd", ZSTD_getErrorName(left));
    return Step{from.pos, into.pos, left == 0};
  }

 private:
  ZSTD_DCtx* context_;
};

// ---------------------------------------------------------------- gzip

class GzipUnpacker final : public Unpacker {
 public:
  GzipUnpacker() { CHECK(inflateInit2(&stream_, kGzipOnly) == Z_OK); }
  ~GzipUnpacker() override { inflateEnd(&stream_); }

  Result<Step> unpack(Bytes from, std::span<std::byte> into) override {
    if (is_at_end_) CHECK(inflateReset(&stream_) == Z_OK);
    is_at_end_ = false;
    // zlib writes to no input, but says so only if it is asked to when it is built.
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(from.data()));
    stream_.avail_in = static_cast<uInt>(from.size());
    stream_.next_out = reinterpret_cast<Bytef*>(into.data());
    stream_.avail_out = static_cast<uInt>(into.size());
    const int result = inflate(&stream_, Z_NO_FLUSH);
    is_at_end_ = result == Z_STREAM_END;
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
      return not_unpacked("gzip", stream_.msg != nullptr ? stream_.msg : zError(result));
    }
    return Step{from.size() - stream_.avail_in, into.size() - stream_.avail_out, is_at_end_};
  }

 private:
  z_stream stream_{};
  bool is_at_end_ = false;
};

}  // namespace

Result<std::optional<Packing>> parse_packing(std::string_view text) {
  const std::string_view method = text.substr(0, text.find(':'));
  if (text == "none" || text == "0") return std::optional<Packing>();
  const bool is_number = !method.empty() && method.find_first_not_of("0123456789") == std::string_view::npos;
  if (method == "gzip" || is_number) {
    return Error(ErrorCode::kUsage, "segments are not packed with gzip",
                 "Take lz4 or zstd: both are faster, and zstd packs better as well.");
  }
  if (method != "lz4" && method != "zstd") {
    return Error(ErrorCode::kUsage, "the compression method is none of none, lz4 and zstd",
                 "Write -Z lz4, or -Z zstd:3 with a level.");
  }
  Packing packing{.form = method == "lz4" ? SegmentForm::kLz4 : SegmentForm::kZstd};
  if (method == text) return std::optional(packing);
  std::string_view detail = text.substr(method.size() + 1);
  constexpr std::string_view kLevel = "level=";
  if (detail.starts_with(kLevel)) detail.remove_prefix(kLevel.size());
  const int most = packing.form == SegmentForm::kLz4 ? kMaxLz4Level : kMaxZstdLevel;
  const auto parsed = std::from_chars(detail.data(), detail.data() + detail.size(), packing.level);
  if (parsed.ec != std::errc() || parsed.ptr != detail.data() + detail.size() || packing.level < 1 ||
      packing.level > most) {
    return Error(ErrorCode::kUsage, fmt::format("the level of {} must be between 1 and {}", method, most),
                 "Leave it out for the usual one.");
  }
  return std::optional(packing);
}

std::unique_ptr<Packer> make_packer(const Packing& packing, std::uint64_t total_bytes) {
  if (packing.form == SegmentForm::kLz4) return std::make_unique<Lz4Packer>(packing.level, total_bytes);
  CHECK(packing.form == SegmentForm::kZstd);
  return std::make_unique<ZstdPacker>(packing.level, total_bytes);
}

std::unique_ptr<Unpacker> make_unpacker(SegmentForm form) {
  if (form == SegmentForm::kLz4) return std::make_unique<Lz4Unpacker>();
  if (form == SegmentForm::kZstd) return std::make_unique<ZstdUnpacker>();
  CHECK(form == SegmentForm::kGzip);
  return std::make_unique<GzipUnpacker>();
}

}  // namespace standfast::store
