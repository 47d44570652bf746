#include "clone/copy_difference.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/block_runs.h"
#include "base/hash128.h"

namespace standfast::clone {

using base::Result;

namespace {

constexpr std::uint64_t kStretchBytes = std::uint64_t{32} << 20U;
constexpr std::size_t kReadBytes = std::size_t{1} << 20U;

class Comparison {
 public:
  explicit Comparison(const DifferenceEnvironment& environment)
      : environment_(environment), buffer_(kReadBytes) {}

  Result<CopyDifference> run(const CopyLayout& layout) {
    for (const PlannedFile& file : layout.files) found_.total_bytes += file.size_bytes;
    found_.files = layout.files.size();
    for (const PlannedFile& file : layout.files) TRY(look_at(file));
    while (!asked_.empty()) TRY(take());
    return found_;
  }

 private:
  struct Asked {
    agent::Stretch stretch;
    std::uint64_t source_bytes = 0;    ///< of the whole file
    std::uint64_t existing_bytes = 0;  ///< of ours
    std::vector<base::Hash128> ours = {};
  };

  Result<void> look_at(const PlannedFile& file) {
    const auto info = TRY(environment_.files.inspect(file.place));
    const bool is_there = info && info->kind == env::FileKind::kRegular;
    const std::uint64_t existing = is_there && !file.is_whole ? info->size_bytes : 0;
    const std::uint64_t common = std::min(existing, file.size_bytes);
    std::unique_ptr<env::File> ours;
    if (common > 0) ours = TRY(environment_.files.open_for_reading(file.place));
    std::uint64_t at = 0;
    for (; at < common; at += kStretchBytes) {
      Asked next;
      next.stretch = {at, std::min(kStretchBytes, file.size_bytes - at), environment_.run_bytes};
      next.source_bytes = file.size_bytes;
      next.existing_bytes = existing;
      TRY(ask(file.number, std::move(next), *ours));
    }
    if (at < file.size_bytes) found_.moved_bytes += file.size_bytes - at;
    return base::ok();
  }

  /// Ours are hashed while the source hashes its own.
  Result<void> ask(std::uint32_t number, Asked next, env::File& ours) {
    if (environment_.stop.is_set()) return env::cancelled_error();
    if (asked_.size() == environment_.stream.max_under_way()) TRY(take());
    TRY(environment_.stream.ask_hashes({.file = number,
                                        .offset = next.stretch.offset,
                                        .length_bytes = next.stretch.length_bytes,
                                        .run_bytes = next.stretch.run_bytes}));
    const std::uint64_t end = std::min(next.stretch.offset + next.stretch.length_bytes, next.existing_bytes);
    for (std::uint64_t offset = next.stretch.offset; offset < end;) {
      const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), end - offset));
      const std::size_t count = TRY(ours.read_at(offset, std::span(buffer_).first(wanted)));
      for (std::size_t from = 0; from < count; from += next.stretch.run_bytes) {
        const std::size_t length = std::min<std::size_t>(next.stretch.run_bytes, count - from);
        next.ours.push_back(base::hash128(base::Bytes(buffer_).subspan(from, length)));
      }
      if (count < wanted) break;
      offset += count;
    }
    asked_.push_back(std::move(next));
    return base::ok();
  }

  Result<void> take() {
    const agent::RangeHashes source = TRY(environment_.stream.take_hashes());
    const Asked oldest = std::move(asked_.front());
    asked_.pop_front();
    done_bytes_ += oldest.stretch.length_bytes;
    if (environment_.on_progress) environment_.on_progress(done_bytes_, found_.total_bytes);
    if (source.is_gone) return base::ok();
    const bool is_shorter = source.covered_bytes < oldest.stretch.length_bytes;
    const std::uint64_t source_bytes =
        is_shorter ? oldest.stretch.offset + source.covered_bytes : oldest.source_bytes;
    const agent::StretchPlan plan = agent::plan_stretch(oldest.stretch, {oldest.existing_bytes, oldest.ours},
                                                        {source_bytes, source.hashes});
    for (const agent::FileRange& range : plan.fetch) found_.moved_bytes += range.length_bytes;
    return base::ok();
  }

  const DifferenceEnvironment& environment_;
  std::vector<std::byte> buffer_;
  std::deque<Asked> asked_;
  std::uint64_t done_bytes_ = 0;
  CopyDifference found_;
};

}  // namespace

Result<CopyDifference> find_difference(std::span<const agent::FileEntry> entries, const CopyPlaces& places,
                                       const DifferenceEnvironment& environment) {
  const CopyLayout layout = TRY(lay_out(entries, places));
  return Comparison(environment).run(layout);
}

}  // namespace standfast::clone
