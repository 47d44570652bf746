// standfast.anchors, and the names of the files beside it. What is understood reads the same when it is
// written again; there is never more than the bound; a name is that of its segment.
#include "fuzz_input.h"
#include "pg/format/wal_file.h"
#include "store/anchor.h"
#include "store/wal_folder.h"

namespace {

namespace store = standfast::store;

constexpr std::uint64_t kSegmentBytes = std::uint64_t{1} << 24U;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = standfast::fuzz::as_text(data, size);
  const store::Anchors anchors = store::parse_anchors(text);
  CHECK(anchors.size() <= store::kMaxAnchors);
  for (const auto& each : anchors) CHECK(each.start < each.end);
  CHECK(store::parse_anchors(store::encode_anchors(anchors)) == anchors);
  if (const auto entry = store::parse_segment_file_name(text, kSegmentBytes))
    CHECK(store::segment_file_name(*entry, kSegmentBytes) == text);
  if (const auto timeline = store::parse_history_file_name(text))
    CHECK(standfast::pg::timeline_history_name(*timeline) == text);
  return 0;
}
