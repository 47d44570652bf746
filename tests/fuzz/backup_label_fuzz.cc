// backup_label and tablespace_map: what is read keeps its promises, and a map written out again reads as the
// same.
#include <string>

#include "fuzz_input.h"
#include "pg/format/backup_label.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = standfast::fuzz::as_text(data, size);
  const auto label = standfast::pg::parse_backup_label(text);
  if (label.has_value()) {
    CHECK(label->start.is_valid() && label->checkpoint.is_valid());
    CHECK(label->start_wal_file.size() == 24);
    CHECK(label->start_wal_file.find_first_not_of("0123456789ABCDEF") == std::string::npos);
    CHECK(label->start_timeline.value() > 0);
  }
  const auto map = standfast::pg::parse_tablespace_map(text);
  if (map.has_value()) {
    for (const auto& entry : *map) CHECK(entry.oid > 0 && !entry.path.empty());
    CHECK(standfast::pg::parse_tablespace_map(standfast::pg::render_tablespace_map(*map)).value() == *map);
  }
  return 0;
}
