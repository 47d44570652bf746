#include "store/segment_source.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "store/packing.h"

namespace standfast::store {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::size_t kPackedReadBytes = std::size_t{256} << 10U;

class PlainSource final : public SegmentSource {
 public:
  PlainSource(std::unique_ptr<env::File> file, std::uint64_t segment_bytes)
      : file_(std::move(file)), segment_bytes_(segment_bytes) {}

  Result<std::size_t> read(std::span<std::byte> into) override {
    const auto room =
        static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), segment_bytes_ - offset_));
    const std::size_t count = TRY(file_->read_at(offset_, into.first(room)));
    offset_ += count;
    return count;
  }

  Result<void> skip(std::uint64_t bytes) override {
    offset_ += std::min(bytes, segment_bytes_ - offset_);
    return base::ok();
  }

 private:
  std::unique_ptr<env::File> file_;
  std::uint64_t segment_bytes_;
  std::uint64_t offset_ = 0;
};

class PackedSource final : public SegmentSource {
 public:
  PackedSource(std::unique_ptr<env::File> file, std::string path, SegmentForm form,
               std::uint64_t segment_bytes)
      : file_(std::move(file)),
        path_(std::move(path)),
        unpacker_(make_unpacker(form)),
        left_bytes_(segment_bytes),
        buffer_(kPackedReadBytes) {}

  Result<std::size_t> read(std::span<std::byte> into) override {
    into = into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left_bytes_)));
    std::size_t given = 0;
    while (given < into.size() && !has_ended_) given += TRY(step(into.subspan(given)));
    left_bytes_ -= given;
    if (left_bytes_ == 0) TRY(see_the_end());
    return given;
  }

 private:
  Result<std::size_t> step(std::span<std::byte> into) {
    if (waiting_.empty()) TRY(fill());
    if (waiting_.empty() && is_at_frame_end_) {
      has_ended_ = true;
      return std::size_t{0};
    }
    auto done = unpacker_->unpack(waiting_, into);
    if (!done) return std::move(done).error().with_context(fmt::format("\"{}\"", path_));
    // At the file's end what the unpacker still holds comes without more.
    if (done->taken == 0 && done->given == 0) {
      return Error(ErrorCode::kDamaged, fmt::format("\"{}\" ends in the middle of what is packed", path_));
    }
    waiting_ = waiting_.subspan(done->taken);
    is_at_frame_end_ = done->is_at_frame_end;
    return done->given;
  }

  Result<void> fill() {
    const std::size_t count = TRY(file_->read_at(offset_, buffer_));
    offset_ += count;
    waiting_ = base::Bytes(buffer_).first(count);
    return base::ok();
  }

  /// The checksum of a frame stands behind its last byte.
  Result<void> see_the_end() {
    std::array<std::byte, 1> more{};
    while (!has_ended_) {
      if (TRY(step(more)) == 0) continue;
      return Error(ErrorCode::kDamaged, fmt::format("\"{}\" holds more than a segment", path_));
    }
    return base::ok();
  }

  std::unique_ptr<env::File> file_;
  std::string path_;
  std::unique_ptr<Unpacker> unpacker_;
  std::uint64_t left_bytes_;
  std::vector<std::byte> buffer_;
  base::Bytes waiting_;
  std::uint64_t offset_ = 0;
  bool is_at_frame_end_ = false;  ///< an empty file is no frame
  bool has_ended_ = false;
};

}  // namespace

Result<void> SegmentSource::skip(std::uint64_t bytes) {
  std::vector<std::byte> passed(static_cast<std::size_t>(std::min<std::uint64_t>(bytes, 64U << 10U)));
  while (bytes > 0) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, passed.size()));
    const std::size_t count = TRY(read(std::span(passed).first(wanted)));
    if (count == 0) break;
    bytes -= count;
  }
  return base::ok();
}

Result<std::unique_ptr<SegmentSource>> open_segment_source(env::FileSystem& files, const std::string& folder,
                                                           const SegmentEntry& entry,
                                                           std::uint64_t segment_bytes) {
  return open_segment_file(files, folder + "/" + segment_file_name(entry, segment_bytes), entry.form,
                           segment_bytes);
}

Result<std::unique_ptr<SegmentSource>> open_segment_file(env::FileSystem& files, const std::string& path,
                                                         SegmentForm form, std::uint64_t segment_bytes) {
  auto file = TRY(files.open_for_reading(path));
  if (form == SegmentForm::kWhole || form == SegmentForm::kPartial) {
    return std::unique_ptr<SegmentSource>(std::make_unique<PlainSource>(std::move(file), segment_bytes));
  }
  return std::unique_ptr<SegmentSource>(
      std::make_unique<PackedSource>(std::move(file), path, form, segment_bytes));
}

}  // namespace standfast::store
