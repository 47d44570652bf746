#include "store/wal_folder.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <tuple>

#include "base/number.h"
#include "pg/format/wal_file.h"
#include "pg/format/wal_record.h"
#include "store/segment_source.h"

namespace standfast::store {
namespace {

using base::Result;

constexpr std::size_t kSegmentNameLength = 24;
constexpr std::string_view kHistoryEnding = ".history";
constexpr std::size_t kHistoryNameLength = 16;
constexpr std::array<std::pair<SegmentForm, std::string_view>, 5> kEndings = {
    {{SegmentForm::kWhole, ""},
     {SegmentForm::kLz4, ".lz4"},
     {SegmentForm::kZstd, ".zst"},
     {SegmentForm::kGzip, ".gz"},
     {SegmentForm::kPartial, ".partial"}}};

std::size_t rank_of(SegmentForm form) {
  return static_cast<std::size_t>(std::find_if(kEndings.begin(), kEndings.end(),
                                               [form](const auto& entry) { return entry.first == form; }) -
                                  kEndings.begin());
}

auto order_of(const SegmentEntry& entry) {
  return std::tuple(entry.timeline, entry.start, rank_of(entry.form));
}

}  // namespace

std::string_view ending_of(SegmentForm form) {
  return kEndings[rank_of(form)].second;
}

bool operator<(const SegmentEntry& a, const SegmentEntry& b) {
  return order_of(a) < order_of(b);
}

const SegmentEntry* WalFolder::find(pg::TimelineId timeline, pg::Lsn start) const {
  const SegmentEntry wanted{timeline, start, SegmentForm::kWhole};
  const auto found = std::lower_bound(segments.begin(), segments.end(), wanted);
  if (found == segments.end() || found->timeline != timeline || found->start != start) return nullptr;
  return &*found;
}

std::optional<SegmentEntry> parse_segment_file_name(std::string_view name, std::uint64_t segment_bytes) {
  if (name.size() < kSegmentNameLength) return std::nullopt;
  const auto id = pg::parse_wal_segment_name(name.substr(0, kSegmentNameLength), segment_bytes);
  if (!id) return std::nullopt;
  for (const auto& [form, ending] : kEndings) {
    if (name.substr(kSegmentNameLength) == ending) return SegmentEntry{id->timeline, id->start, form};
  }
  return std::nullopt;
}

std::optional<pg::TimelineId> parse_history_file_name(std::string_view name) {
  if (name.size() != kHistoryNameLength || !name.ends_with(kHistoryEnding)) return std::nullopt;
  const auto number =
      base::parse_number<std::uint32_t>(name.substr(0, name.size() - kHistoryEnding.size()), 16);
  if (!number) return std::nullopt;
  const pg::TimelineId timeline(*number);
  return pg::timeline_history_name(timeline) == name ? std::optional(timeline) : std::nullopt;
}

std::string segment_file_name(const SegmentEntry& entry, std::uint64_t segment_bytes) {
  return pg::wal_segment_name(entry.timeline, entry.start, segment_bytes) +
         std::string(ending_of(entry.form));
}

Result<WalFolder> list_wal_folder(env::FileSystem& files, const std::string& folder,
                                  std::uint64_t segment_bytes) {
  WalFolder result;
  for (const std::string& name : TRY(files.list(folder))) {
    if (const auto entry = parse_segment_file_name(name, segment_bytes)) result.segments.push_back(*entry);
    if (const auto timeline = parse_history_file_name(name)) result.histories.push_back(*timeline);
  }
  std::sort(result.segments.begin(), result.segments.end());
  std::sort(result.histories.begin(), result.histories.end());
  return result;
}

Result<std::optional<WalOrigin>> describe_wal_folder(env::FileSystem& files, const std::string& folder) {
  for (const std::string& name : TRY(files.list(folder))) {
    // The smallest size takes the names of every size.
    const auto entry = parse_segment_file_name(name, pg::kMinWalSegmentBytes);
    if (!entry) continue;
    const auto source = open_segment_file(files, folder + "/" + name, entry->form, pg::kMinWalSegmentBytes);
    // It may have been packed or renamed since; another one will tell.
    if (!source && source.error().os_errno == ENOENT) continue;
    if (!source) return source.error();
    std::array<std::byte, pg::kWalLongHeaderBytes> bytes{};
    const auto count = (*source)->read(bytes);
    if (!count && count.error().code != base::ErrorCode::kDamaged) return count.error();
    if (!count) continue;
    const auto header = pg::parse_wal_page_header(base::Bytes(bytes).first(*count));
    if (header && header->is_long() && pg::is_valid_wal_segment_size(header->segment_bytes)) {
      return std::optional(WalOrigin{header->segment_bytes, header->system_id, header->magic});
    }
  }
  return std::optional<WalOrigin>();
}

}  // namespace standfast::store
