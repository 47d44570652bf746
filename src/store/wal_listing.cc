#include "store/wal_listing.h"

#include <algorithm>
#include <map>
#include <utility>

#include "pg/format/wal_file.h"
#include "store/segment_chain.h"

namespace standfast::store {
namespace {

using base::Result;

constexpr std::size_t kReadBytes = std::size_t{1} << 20U;

const pg::TimelineHistory* history_of(const std::vector<pg::TimelineHistory>& histories,
                                      pg::TimelineId timeline) {
  const auto found = std::find_if(histories.begin(), histories.end(),
                                  [&](const auto& history) { return history.timeline() == timeline; });
  return found == histories.end() ? nullptr : &*found;
}

/// Where the ancestors' segments before `start` end; no value where there are none.
std::optional<pg::Lsn> end_of_ancestors(const WalFolder& folder, const pg::TimelineHistory& history,
                                        pg::Lsn start, std::uint64_t segment_bytes) {
  std::optional<pg::Lsn> end;
  for (const SegmentEntry& entry : folder.segments) {
    const auto ends_at = history.end_of(entry.timeline);
    if (!ends_at || entry.start >= *ends_at || entry.start >= start) continue;
    end = std::max(end.value_or(pg::Lsn()), entry.start + segment_bytes);
  }
  return end;
}

class Lister {
 public:
  Lister(env::FileSystem& files, const std::string& folder) : files_(files), path_(folder) {}

  Result<WalListing> run() {
    WalListing listing;
    listing.origin = TRY(describe_wal_folder(files_, path_));
    segment_bytes_ = listing.origin ? listing.origin->segment_bytes : pg::kMinWalSegmentBytes;
    folder_ = TRY(list_wal_folder(files_, path_, segment_bytes_));
    histories_ = TRY(read_histories(files_, path_, folder_));
    for (const pg::TimelineId timeline : folder_.histories) timelines_[timeline].has_history_file = true;
    for (const SegmentEntry& entry : folder_.segments) TRY(add(entry));
    for (const WalGap& gap : find_gaps(folder_, histories_, segment_bytes_))
      timelines_[gap.timeline].gaps.push_back(gap);
    for (auto& [timeline, of_timeline] : timelines_) {
      of_timeline.timeline = timeline;
      const auto* history = history_of(histories_, timeline);
      if (history != nullptr && !history->switches().empty())
        of_timeline.began_by = history->switches().back();
      listing.timelines.push_back(std::move(of_timeline));
    }
    return listing;
  }

 private:
  Result<void> add(const SegmentEntry& entry) {
    const auto info = TRY(files_.inspect_following(path_ + "/" + segment_file_name(entry, segment_bytes_)));
    if (!info) return base::ok();  // it has got another form since
    auto& runs = timelines_[entry.timeline].runs;
    const bool goes_on = !runs.empty() && runs.back().first.form == entry.form &&
                         entry.form != SegmentForm::kPartial &&
                         runs.back().last_start + segment_bytes_ == entry.start;
    if (!goes_on) runs.push_back({.first = entry, .last_start = entry.start});
    SegmentRun& run = runs.back();
    run.last_start = entry.start;
    ++run.segments;
    run.bytes += info->size_bytes;
    if (entry.form == SegmentForm::kPartial) run.proven_end = TRY(proven_end(entry));
    return base::ok();
  }

  Result<std::optional<pg::Lsn>> proven_end(const SegmentEntry& entry) {
    auto chain = TRY(SegmentChain::open(
        files_, {.folder = path_, .timeline = entry.timeline, .segment_bytes = segment_bytes_}));
    wal::RecordScanner scanner = chain.scanner_at(entry.start);
    scanner.stop_at_segment_switch();
    auto source = open_segment_source(files_, path_, entry, segment_bytes_);
    if (!source) return std::optional<pg::Lsn>();
    std::vector<std::byte> buffer(kReadBytes);
    while (!scanner.damage()) {
      const std::size_t count = TRY((*source)->read(buffer));
      if (count == 0) break;
      scanner.feed(base::Bytes(buffer).first(count));
    }
    const bool is_proven = !scanner.is_in_first_continuation() && scanner.complete_end() > entry.start;
    return is_proven ? std::optional(scanner.complete_end()) : std::nullopt;
  }

  env::FileSystem& files_;
  const std::string& path_;
  std::uint64_t segment_bytes_ = 0;
  WalFolder folder_;
  std::vector<pg::TimelineHistory> histories_;
  std::map<pg::TimelineId, TimelineListing> timelines_;
};

}  // namespace

std::vector<WalGap> find_gaps(const WalFolder& folder, const std::vector<pg::TimelineHistory>& histories,
                              std::uint64_t segment_bytes) {
  std::vector<WalGap> gaps;
  const SegmentEntry* last = nullptr;
  for (const SegmentEntry& entry : folder.segments) {
    std::optional<pg::Lsn> end;
    if (last != nullptr && last->timeline == entry.timeline) {
      end = last->start + segment_bytes;
    } else if (const auto* history = history_of(histories, entry.timeline)) {
      end = end_of_ancestors(folder, *history, entry.start, segment_bytes);
    }
    if (end && *end < entry.start) gaps.push_back({entry.timeline, *end, entry.start});
    last = &entry;
  }
  return gaps;
}

Result<std::vector<pg::TimelineHistory>> read_histories(env::FileSystem& files, const std::string& path,
                                                        const WalFolder& folder) {
  std::vector<pg::TimelineHistory> histories;
  for (const pg::TimelineId timeline : folder.histories) {
    if (auto history = TRY(read_history(files, path, timeline))) histories.push_back(std::move(*history));
  }
  return histories;
}

Result<WalListing> list_wal(env::FileSystem& files, const std::string& folder) {
  return Lister(files, folder).run();
}

}  // namespace standfast::store
