#include "store/segment_compressor.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/check.h"
#include "store/segment_source.h"

namespace standfast::store {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::string_view kBeingWritten = "standfast.packed";
constexpr std::size_t kReadBytes = std::size_t{256} << 10U;

class Compression {
 public:
  Compression(env::FileSystem& files, const CompressOptions& options, const SegmentEntry& segment,
              const env::StopEvent& stop)
      : files_(files),
        options_(options),
        stop_(stop),
        original_(options.folder + "/" + segment_file_name(segment, options.segment_bytes)),
        new_path_(options.folder + "/" + std::string(kBeingWritten)),
        path_(options.folder + "/" +
              segment_file_name({segment.timeline, segment.start, options.packing.form},
                                options.segment_bytes)) {
    CHECK(segment.form == SegmentForm::kWhole);
  }

  Result<std::uint64_t> run() {
    auto size = write();
    if (size) {
      if (auto same = compare(); !same) size = std::move(same).error();
    }
    if (!size) {
      static_cast<void>(files_.remove_file(new_path_));
      return size;
    }
    // One that is there is what an interrupted run left, or damaged: the original counts while it is there.
    TRY(files_.rename_over(new_path_, path_));
    TRY(files_.sync_directory(options_.folder));
    TRY(files_.remove_file(original_));
    return size;
  }

 private:
  Result<std::unique_ptr<SegmentSource>> open_original() const {
    return open_segment_file(files_, original_, SegmentForm::kWhole, options_.segment_bytes);
  }
  Result<void> check_not_stopped() const {
    return stop_.is_set() ? Result<void>(env::cancelled_error()) : base::ok();
  }

  Result<std::uint64_t> write() {
    const auto source = TRY(open_original());
    const auto packer = make_packer(options_.packing, options_.segment_bytes);
    auto file = TRY(files_.create(new_path_, options_.file_mode, env::OnExisting::kReplace));
    std::uint64_t taken = 0;
    std::uint64_t written = 0;
    std::string packed;
    while (taken < options_.segment_bytes) {
      TRY(check_not_stopped());
      const std::size_t count = TRY(source->read(buffer_));
      if (count == 0) {
        return Error(ErrorCode::kDamaged, fmt::format("\"{}\" has {} bytes where a segment has {}", original_,
                                                      taken, options_.segment_bytes));
      }
      taken += count;
      const bool is_last = taken == options_.segment_bytes;
      packed.clear();
      TRY(packer->pack(base::Bytes(buffer_).first(count), is_last ? Packer::Part::kLast : Packer::Part::kSome,
                       packed));
      TRY(file->write_at(written, base::as_bytes(packed)));
      written += packed.size();
    }
    TRY(file->sync());
    TRY(file->close());
    return written;
  }

  Result<void> compare() {
    const auto original = TRY(open_original());
    const auto packed =
        TRY(open_segment_file(files_, new_path_, options_.packing.form, options_.segment_bytes));
    std::vector<std::byte> unpacked(buffer_.size());
    for (std::uint64_t compared = 0; compared < options_.segment_bytes;) {
      TRY(check_not_stopped());
      const std::size_t count = TRY(original->read(buffer_));
      if (count == 0) return differs();
      for (std::size_t got = 0; got < count;) {
        const std::size_t more = TRY(packed->read(std::span(unpacked).subspan(got, count - got)));
        if (more == 0) return differs();
        got += more;
      }
      const auto end = unpacked.begin() + static_cast<std::ptrdiff_t>(count);
      if (!std::equal(unpacked.begin(), end, buffer_.begin())) return differs();
      compared += count;
    }
    return base::ok();
  }
  Error differs() const {
    return Error(ErrorCode::kDamaged,
                 fmt::format("\"{}\", packed and read back, is not what it was", original_),
                 "It stays as it is. See whether this host's disk or memory is failing.");
  }

  env::FileSystem& files_;
  const CompressOptions& options_;
  const env::StopEvent& stop_;
  const std::string original_;
  const std::string new_path_;
  const std::string path_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(kReadBytes);
};

}  // namespace

Result<std::uint64_t> compress_segment(env::FileSystem& files, const CompressOptions& options,
                                       const SegmentEntry& segment, const env::StopEvent& stop) {
  return Compression(files, options, segment, stop).run();
}

}  // namespace standfast::store
