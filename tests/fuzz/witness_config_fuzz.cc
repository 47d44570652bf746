// The witness's configuration file, and the addresses in it. Whatever comes, a refusal names the file and a
// line, sizes and times are in range, and an address that is understood reads the same when it is written
// again.
#include "fuzz_input.h"
#include "net/listener.h"
#include "witness/config.h"

namespace {

namespace base = standfast::base;
namespace net = standfast::net;
namespace witness = standfast::witness;

constexpr std::uint16_t kPort = 5433;

void check_refusal(const base::Error& error, std::string_view begins_with) {
  CHECK(error.code == base::ErrorCode::kUsage);
  CHECK(error.message.starts_with(begins_with));
}

void check_address(const std::string& text) {
  const auto address = net::parse_listen_address(text, kPort);
  if (!address) return;
  const auto again = net::parse_listen_address(net::to_string(*address), kPort);
  CHECK(again && *again == *address);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto config = witness::parse_witness_config(standfast::fuzz::as_text(data, size), "file");
  if (!config) {
    check_refusal(config.error(), "\"file\" line ");
    return 0;
  }
  CHECK(!config->keep_seconds || *config->keep_seconds >= 0);
  for (const auto* text : {&config->conninfo, &config->name, &config->slot, &config->folder, &config->users})
    CHECK(!*text || !(*text)->empty());
  for (const std::string& address : config->listen) check_address(address);
  const witness::WitnessConfig merged = witness::merge({}, *config);
  CHECK(merged.listen == config->listen && merged.keep_bytes == config->keep_bytes &&
        merged.slot_keep_bytes == config->slot_keep_bytes && merged.users == config->users);
  return 0;
}
