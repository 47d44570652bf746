// agent.json: what is read is written as it was.
#include "agent/membership_files.h"
#include "fuzz_input.h"

namespace agent = standfast::agent;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto places = agent::parse_agent_places(standfast::fuzz::as_text(data, size));
  if (!places) return 0;
  CHECK(places->listen.size() <= agent::kMaxAgentAddresses);
  const std::string text = agent::text_of(*places);
  const auto again = agent::parse_agent_places(text);
  CHECK(again && agent::text_of(*again) == text);
  return 0;
}
