// pg_hba.conf: whatever the file, the block is placed so that its own rules take its logins, once only, and
// taking it out gives the file back. Input: role, newline, address, newline, then the file.
#include <string>

#include "fuzz_input.h"
#include "pg/format/hba_block.h"
#include "pg/format/hba_file.h"

namespace {

using standfast::pg::HbaBlock;
using standfast::pg::HbaDialect;
using standfast::pg::HbaMatch;

/// Each login of the block must be taken by a rule of the block.
void check_reached(const std::string& text, const HbaBlock& block, HbaDialect dialect) {
  const auto file = standfast::pg::parse_hba(text, dialect);
  CHECK(file.has_value());
  std::string rendered = block.render();
  rendered.pop_back();
  const std::size_t begin = text.find(rendered);
  CHECK(begin != std::string::npos);
  for (const auto& connection : block.connections()) {
    const auto hit = standfast::pg::first_rule_for(*file, connection);
    CHECK(hit.has_value());
    CHECK(hit->match == HbaMatch::kYes);
    const auto& rule = file->rules.at(hit->index);
    CHECK(rule.begin > begin && rule.begin < begin + rendered.size());
    CHECK(rule.method == "scram-sha-256");
  }
}

void check_block(std::string_view text, const HbaBlock& block, HbaDialect dialect) {
  const auto without = standfast::pg::without_block(text);
  const auto with = standfast::pg::with_block(text, block, dialect);
  if (!with.has_value()) return;
  CHECK(without.has_value());
  CHECK(standfast::pg::without_block(*with).value() == *without);
  CHECK(standfast::pg::with_block(*with, block, dialect).value() == *with);
  const auto found = standfast::pg::find_block(*with);
  CHECK(found.has_value());
  CHECK(*found == block);
  check_reached(*with, block, dialect);
}

void check_address(std::string_view text) {
  const auto address = standfast::pg::parse_standby_address(text);
  if (!address.has_value()) return;
  const auto again = standfast::pg::parse_standby_address(address->cidr);
  CHECK(again.has_value());
  CHECK(again->cidr == address->cidr);
  CHECK(again->is_network == address->is_network);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest = standfast::fuzz::as_text(data, size);
  const std::string role(standfast::fuzz::take_until(rest, '\n'));
  const std::string_view address = standfast::fuzz::take_until(rest, '\n');
  check_address(address);

  HbaBlock block;
  block.replication_role = role;
  block.monitor_role = "standfast_monitor";
  block.monitor_database = "standfast";
  block.encryption =
      role.size() % 2 == 0 ? standfast::pg::Encryption::kTls : standfast::pg::Encryption::kPlain;
  auto canonical = standfast::pg::parse_standby_address(address);
  block.members.push_back({"pgstandby1", canonical.has_value() ? canonical->cidr : "10.20.20.2/32"});
  block.probe_address_cidr = "10.20.20.1/32";
  check_block(rest, block, HbaDialect::kWithContinuation);
  check_block(rest, block, HbaDialect::kWithoutContinuation);
  return 0;
}
