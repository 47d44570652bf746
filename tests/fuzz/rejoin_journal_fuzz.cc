// The journal of a rejoin: whatever is read names only folders by absolute paths, and is read again as the
// same.
#include <string>

#include "clone/places.h"
#include "clone/rejoin_journal.h"
#include "env/file_system.h"
#include "fuzz_input.h"

namespace {

namespace clone = standfast::clone;

void check_path(const std::string& path) {
  CHECK(path.size() > 1 && path == standfast::env::absolute_path(path));
  CHECK(path.find('\0') == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto journal = clone::parse_rejoin_journal(std::string(standfast::fuzz::as_text(data, size)));
  if (!journal) return 0;
  check_path(journal->wal_folder);
  CHECK(clone::is_entry_name(journal->time));
  for (const auto& [oid, folder] : journal->tablespaces) {
    CHECK(oid > 0);
    check_path(folder);
  }
  CHECK(clone::parse_rejoin_journal(clone::text_of(*journal)).value() == *journal);
  return 0;
}
