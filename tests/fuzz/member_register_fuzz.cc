// The register of a cluster's members: what is read is written as it was, and changing it keeps it readable.
#include <chrono>

#include "agent/member_register.h"
#include "fuzz_input.h"

namespace agent = standfast::agent;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr agent::UnixSeconds kNow{std::chrono::seconds(1'800'000'000)};
  auto members = agent::parse_register(standfast::fuzz::as_text(data, size));
  if (!members) return 0;
  CHECK(members->certificates.size() <= agent::kMaxGivenCertificates);
  CHECK(agent::parse_register(agent::text_of(*members)).value() == *members);
  const auto listed = agent::list_members(*members, kNow);
  for (const agent::MemberState& state : listed) {
    CHECK(agent::is_member_name(state.name) && (state.newest || state.invited_until));
  }
  if (!listed.empty()) {
    const std::string name = listed.front().name;
    CHECK(agent::revoke(*members, name, kNow));
    for (const auto& given : members->certificates) {
      CHECK(given.name != name || !agent::find_renewing(*members, given.serial, given.key_sha256, kNow));
    }
  }
  // The number of the list may have come to its end.
  constexpr std::uint64_t kNearItsEnd = std::uint64_t{1} << 52U;
  CHECK(members->list_number > kNearItsEnd || agent::parse_register(agent::text_of(*members)));
  return 0;
}
