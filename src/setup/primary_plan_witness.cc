#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/number.h"
#include "pg/format/sql_text.h"
#include "setup/names.h"
#include "setup/primary_plan_parts.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

Error bad_witness(std::string_view text, std::string_view what) {
  return {ErrorCode::kUsage, fmt::format("--witness {}: {}", text.substr(0, 80), what),
          "Write ADDR, ADDR:PORT or [ADDR6]:PORT, and =NAME behind it for a name: 10.20.20.3:5433=witness1."};
}

struct Where {
  std::string_view address;
  std::optional<std::string_view> port = {};
};

/// More than one colon outside of brackets is an IPv6 address alone.
Where split_port(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t end = text.find("]:");
    if (end != std::string_view::npos) return {text.substr(1, end - 1), text.substr(end + 2)};
    return {text.ends_with(']') ? text.substr(1, text.size() - 2) : text};
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon != text.rfind(':')) return {text};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

void note_remote_apply(const PrimaryState& state, PrimaryPlan& plan) {
  if (state.remote_apply.empty()) return;
  plan.notes.push_back(
      {fmt::format("synchronous_commit = remote_apply is set for {}: such a commit waits for a standby that "
                   "replays, which a witness never does",
                   fmt::join(state.remote_apply, ", ")),
       "Set it to on there if the witness alone is to be enough for a commit."});
}

}  // namespace

Result<WitnessWish> parse_witness(std::string_view text) {
  WitnessWish wish;
  const std::size_t equals = text.find('=');
  if (equals != std::string_view::npos) {
    auto name = pg::valid_slot_name(text.substr(equals + 1));
    if (!name) return bad_witness(text, name.error().message);
    wish.name = *std::move(name);
  }
  const Where where = split_port(text.substr(0, equals));
  if (where.port) {
    const auto number = base::parse_number<std::uint16_t>(*where.port);
    if (!number || *number == 0) return bad_witness(text, "the port is no number from 1 to 65535");
    wish.port = number;
  }
  auto parsed = pg::parse_standby_address(where.address);
  if (!parsed) return bad_witness(text, parsed.error().message);
  if (parsed->is_network) return bad_witness(text, "a witness has one address, not a network");
  wish.address = *std::move(parsed);
  return wish;
}

Result<void> name_witness(const PrimaryState& state, const WitnessWish& wish,
                          std::vector<PlannedMember>& members) {
  const std::string& cidr = wish.address.cidr;
  auto member = std::find_if(members.begin(), members.end(), [&](const PlannedMember& one) {
    return wish.name ? one.slot == *wish.name : one.kind == MemberKind::kWitness && one.address_cidr == cidr;
  });
  if (member == members.end()) {
    PlannedMember added;
    added.kind = MemberKind::kWitness;
    added.slot = wish.name ? *wish.name : next_slot_name(state, members, kDefaultWitnessPrefix);
    added.address_cidr = cidr;
    added.port = kDefaultWitnessPort;
    TRY(check_slot_is_free(state, added.slot, cidr));
    member = members.insert(members.end(), std::move(added));
  } else if (member->kind != MemberKind::kWitness) {
    return Error(ErrorCode::kSlot, fmt::format("slot \"{}\" is a standby's", member->slot),
                 "Give the witness another name: --witness ADDR=NAME.");
  } else if (member->is_named) {
    return Error(ErrorCode::kUsage, fmt::format("witness \"{}\" is named twice", member->slot),
                 "Give two witnesses of one host two names: --witness ADDR:PORT=NAME.");
  } else if (member->address_cidr != cidr) {
    TRY(check_slot_is_free(state, member->slot, cidr));
    member->address_cidr = cidr;
  }
  member->port = wish.port.value_or(member->port != 0 ? member->port : kDefaultWitnessPort);
  member->is_named = true;
  return base::ok();
}

void plan_witnesses(const PrimaryState& state, PrimaryPlan& plan) {
  bool is_any_named = false;
  for (const PlannedMember& member : plan.members) {
    if (member.kind != MemberKind::kWitness || !member.is_named) continue;
    is_any_named = true;
    const KnownWitness row{member.slot, shown_address(member.address_cidr), member.port};
    if (std::find(state.witnesses.begin(), state.witnesses.end(), row) != state.witnesses.end()) continue;
    plan.database.witnesses.push_back(row);
    plan.changes.push_back(
        {ChangeKind::kDatabase, "1.2",
         fmt::format("table {}.{}: {} at {} port {}", kMarkerSchema, kWitnessTable, row.name, row.address,
                     row.port),
         "replicated, so that each standby knows whom it has to ask before it is promoted"});
  }
  if (is_any_named) note_remote_apply(state, plan);
}

std::string next_slot_name(const PrimaryState& state, const std::vector<PlannedMember>& members,
                           std::string_view prefix) {
  for (int i = 1;; ++i) {
    std::string name = fmt::format("{}{}", prefix, i);
    const bool is_member =
        std::any_of(members.begin(), members.end(), [&](const auto& member) { return member.slot == name; });
    if (!is_member && !state.slots.contains(name)) return name;
  }
}

Result<void> check_slot_is_free(const PrimaryState& state, const std::string& slot,
                                const std::string& address_cidr) {
  const auto found = state.slots.find(slot);
  if (found == state.slots.end() || !found->second.is_active) return base::ok();
  const auto& used_from = found->second.used_from;
  if (used_from) {
    const auto user = pg::parse_standby_address(*used_from);
    if (user && user->cidr == address_cidr) return base::ok();
  }
  return Error(
      ErrorCode::kSlot,
      fmt::format("slot \"{}\" is in use by {}", slot, used_from.value_or("a client on this host")),
      "Give it another slot (--slot of a standby, =NAME of a witness), or stop the one that uses it.");
}

}  // namespace standfast::setup
