// The file of a replication slot. What is understood reads the same when it is written again.
#include "fuzz_input.h"
#include "store/slot_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace store = standfast::store;
  const auto slot = store::parse_slot(standfast::fuzz::as_text(data, size));
  if (slot) CHECK(store::parse_slot(store::encode_slot(*slot)) == slot);
  return 0;
}
