#include "cli/primary_setup_view.h"

#include <string_view>
#include <utility>

#include "cli/agent_view.h"

namespace standfast::cli {
namespace {

using setup::PrimaryMember;
using setup::PrimarySetupOutcome;
using setup::PrimaryVerdict;

std::string_view word_for(PrimaryVerdict verdict) {
  switch (verdict) {
    case PrimaryVerdict::kPlanned:
      return "planned";
    case PrimaryVerdict::kUnchanged:
      return "unchanged";
    case PrimaryVerdict::kChanged:
      return "changed";
    case PrimaryVerdict::kPendingRestart:
      return "pending_restart";
  }
  return "";
}

std::string_view word_for(setup::ChangeKind kind) {
  switch (kind) {
    case setup::ChangeKind::kCluster:
      return "cluster";
    case setup::ChangeKind::kSetting:
      return "setting";
    case setup::ChangeKind::kRole:
      return "role";
    case setup::ChangeKind::kDatabase:
      return "database";
    case setup::ChangeKind::kHba:
      return "hba";
    case setup::ChangeKind::kRestart:
      return "restart";
    case setup::ChangeKind::kFirewall:
      return "firewall";
    case setup::ChangeKind::kAgent:
      return "agent";
    case setup::ChangeKind::kSlot:
      return "slot";
    case setup::ChangeKind::kToken:
      return "token";
  }
  return "";
}

}  // namespace

nlohmann::ordered_json as_json(const PrimarySetupOutcome& outcome) {
  auto changes = nlohmann::ordered_json::array();
  for (const auto& change : outcome.changes) {
    changes.push_back({{"step", change.step},
                       {"kind", word_for(change.kind)},
                       {"what", change.what},
                       {"reason", change.reason}});
  }
  auto members = nlohmann::ordered_json::array();
  for (const PrimaryMember& member : outcome.members) {
    const bool is_witness = member.kind == setup::MemberKind::kWitness;
    nlohmann::ordered_json one = {{"slot", member.slot},
                                  {"kind", is_witness ? "witness" : "standby"},
                                  {"address", member.address_cidr},
                                  {"host", member.host}};
    if (is_witness) one["serves_at_port"] = member.port;
    one["token_file"] = member.token_path ? nlohmann::ordered_json(*member.token_path) : nullptr;
    if (!member.manual.empty()) one["manual"] = member.manual;
    members.push_back(std::move(one));
  }
  nlohmann::ordered_json json = {
      {"verdict", word_for(outcome.verdict)},
      {"system_identifier", outcome.system_id.value() != 0
                                ? nlohmann::ordered_json(outcome.system_id.to_string())
                                : nlohmann::ordered_json(nullptr)},
      {"port", outcome.port},
      {"from_standby", outcome.is_standby},
      {"changes", std::move(changes)},
      {"pending_restart", outcome.pending_restart},
      {"members", std::move(members)}};
  if (outcome.agent) json["agent"] = agent_as_json(*outcome.agent);
  return json;
}

}  // namespace standfast::cli
