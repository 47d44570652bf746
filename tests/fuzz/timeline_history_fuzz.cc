// A timeline's history, as a server sends it or a folder has it. What is understood leads upwards, and reads
// the same when it is written again.
#include <string>

#include <fmt/format.h>

#include "fuzz_input.h"
#include "pg/format/timeline_history.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace pg = standfast::pg;
  if (size < 1) return 0;
  const pg::TimelineId timeline(1 + data[0] % 16U);
  const auto history = pg::TimelineHistory::parse(timeline, standfast::fuzz::as_text(data + 1, size - 1));
  if (!history) return 0;
  std::string written;
  pg::Lsn begins;
  for (const pg::TimelineSwitch& each : history->switches()) {
    CHECK(each.parent < timeline && each.at >= begins);
    CHECK(history->begin_of(each.parent) == begins && history->end_of(each.parent) == each.at);
    const auto next = history->after(each.parent);
    CHECK(next && *next > each.parent && history->begin_of(*next) == each.at);
    begins = each.at;
    written += fmt::format("{}\t{}\tas it was\n", each.parent.value(), each.at.to_string());
  }
  CHECK(history->begin_of(timeline) == begins && !history->end_of(timeline));
  const auto again = pg::TimelineHistory::parse(timeline, written);
  CHECK(again && again->switches() == history->switches());
  return 0;
}
