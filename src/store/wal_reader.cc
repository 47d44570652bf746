#include "store/wal_reader.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "base/check.h"

namespace standfast::store {

using base::Error;
using base::ErrorCode;
using base::Result;

std::vector<pg::TimelineId> names_of_segment(const wal::serve::StoreView& view, pg::TimelineId timeline,
                                             pg::Lsn segment_start, std::uint64_t segment_bytes) {
  std::vector<pg::TimelineId> names{timeline};
  const auto& ancestors = view.ancestors;
  for (std::size_t i = 0; i < ancestors.size(); ++i) {
    if (ancestors[i].timeline != names.front()) continue;
    if (ancestors[i].end.segment_start(segment_bytes) != segment_start) break;
    names.insert(names.begin(), i + 1 < ancestors.size() ? ancestors[i + 1].timeline : view.timeline);
  }
  return names;
}

WalReader::WalReader(env::FileSystem& files, std::string folder, std::uint64_t segment_bytes)
    : files_(files), folder_(std::move(folder)), segment_bytes_(segment_bytes) {}

Result<bool> WalReader::open(const SegmentEntry& entry) {
  if (!TRY(files_.inspect(folder_ + "/" + segment_file_name(entry, segment_bytes_)))) return false;
  auto source = open_segment_source(files_, folder_, entry, segment_bytes_);
  if (!source && source.error().os_errno == ENOENT) return false;
  source_ = TRY(std::move(source));
  open_entry_ = entry;
  position_ = entry.start;
  return true;
}

Result<bool> WalReader::open(const std::vector<pg::TimelineId>& names, pg::Lsn segment_start) {
  // A segment is partial first, then whole, then compressed, perhaps in the middle of this. A partial one
  // that stayed behind comes after a whole one of the same name.
  constexpr std::array kForms = {SegmentForm::kWhole, SegmentForm::kPartial, SegmentForm::kWhole,
                                 SegmentForm::kZstd,  SegmentForm::kLz4,     SegmentForm::kGzip};
  for (const pg::TimelineId name : names) {
    for (const SegmentForm form : kForms) {
      if (TRY(open({name, segment_start, form}))) return true;
    }
  }
  return false;
}

Result<WalReader::Outcome> WalReader::read(const wal::serve::StoreView& view, pg::TimelineId timeline,
                                           pg::Lsn start, std::span<std::byte> into) {
  auto outcome = try_read(view, timeline, start, into);
  // Where it stands after an error is not known, nor whether it can go on.
  if (!outcome) source_.reset();
  return outcome;
}

Result<WalReader::Outcome> WalReader::try_read(const wal::serve::StoreView& view, pg::TimelineId timeline,
                                               pg::Lsn start, std::span<std::byte> into) {
  const pg::Lsn segment_start = start.segment_start(segment_bytes_);
  CHECK(!into.empty() && start.bytes_since(segment_start) + into.size() <= segment_bytes_);
  const bool is_open = source_ && read_as_ == timeline && open_entry_.start == segment_start;
  if (!is_open || position_ > start) {
    source_.reset();
    if (!TRY(open(names_of_segment(view, timeline, segment_start, segment_bytes_), segment_start))) {
      return Outcome::kGone;
    }
    read_as_ = timeline;
  }
  TRY(source_->skip(start.bytes_since(position_)));
  position_ = start;
  while (!into.empty()) {
    const std::size_t count = TRY(source_->read(into));
    if (count == 0) {
      return Error(
          ErrorCode::kDamaged,
          fmt::format("\"{}/{}\" ends before {}", folder_, segment_file_name(open_entry_, segment_bytes_),
                      (position_ + into.size()).to_string()),
          "Fetch the segment again from the server whose WAL it is.");
    }
    position_ = position_ + count;
    into = into.subspan(count);
  }
  return Outcome::kRead;
}

}  // namespace standfast::store
