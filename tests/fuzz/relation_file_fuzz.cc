// Paths of relation files: one that is taken is written the one way that its numbers have, and lies in no
// other folder than the three kinds that hold relations.
#include <string>
#include <string_view>

#include "fuzz_input.h"
#include "pg/format/relation_file.h"

namespace {

using standfast::pg::Fork;
using standfast::pg::RelationFile;

std::string name_of(const RelationFile& file) {
  std::string name = std::to_string(file.relation);
  switch (file.fork) {
    case Fork::kMain:
      break;
    case Fork::kFreeSpace:
      name += "_fsm";
      break;
    case Fork::kVisibility:
      name += "_vm";
      break;
    case Fork::kInit:
      name += "_init";
      break;
  }
  if (file.segment != 0) name += '.' + std::to_string(file.segment);
  return name;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view path = standfast::fuzz::as_text(data, size);
  if (const auto file = standfast::pg::parse_relation_file_name(path)) CHECK(name_of(*file) == path);
  const auto file = standfast::pg::parse_relation_path(path);
  if (!file) return 0;
  const std::size_t slash = path.rfind('/');
  CHECK(slash != std::string_view::npos && path.substr(slash + 1) == name_of(*file));
  CHECK(path.starts_with("global/") || path.starts_with("base/") || path.starts_with("pg_tblspc/") ||
        path.starts_with("PG_"));
  return 0;
}
