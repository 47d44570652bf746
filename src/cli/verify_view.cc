#include "cli/verify_view.h"

#include <chrono>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/time.h"
#include "cli/table.h"

namespace standfast::cli {
namespace {

using nlohmann::ordered_json;

ordered_json milliseconds(const std::optional<base::Clock::duration>& duration) {
  if (!duration) return {};
  return std::chrono::duration<double, std::milli>(*duration).count();
}

std::string_view word_for(setup::ProofKind proof) {
  switch (proof) {
    case setup::ProofKind::kSeenOnStandby:
      return "seen_on_standby";
    case setup::ProofKind::kReplayedBySender:
      return "replayed_by_sender";
    case setup::ProofKind::kLevelWithStandbyAbove:
      return "level_with_standby_above";
  }
  return "";
}

}  // namespace

std::string render_verdict(const setup::VerifyOutcome& outcome) {
  if (!outcome.failure && outcome.proof == setup::ProofKind::kLevelWithStandbyAbove) {
    return "\nthe standby has what the standby above it has; the way from the primary to that one was not "
           "tried from here\n";
  }
  if (!outcome.failure) {
    const auto& taken = outcome.marker_time ? outcome.marker_time : outcome.database_time;
    return fmt::format(
        "\nthe standby replicates{}\n",
        taken ? fmt::format(": {} from the primary to the standby", base::format_duration(*taken)) : "");
  }
  std::string text =
      fmt::format("\n{}: {}\n", base::name_of(outcome.failure->code), printable(outcome.failure->message));
  if (!outcome.failure->hint.empty()) text += fmt::format("hint: {}\n", printable(outcome.failure->hint));
  return text;
}

ordered_json verify_as_json(const setup::VerifyOutcome& outcome) {
  ordered_json object;
  object["verdict"] = outcome.failure ? base::name_of(outcome.failure->code) : "ok";
  object["exit_code"] = outcome.failure ? base::exit_code_of(outcome.failure->code) : 0;
  if (outcome.failure) {
    object["message"] = outcome.failure->message;
    object["hint"] = outcome.failure->hint;
  }
  object["checks"] = ordered_json::array();
  for (const setup::Check& check : outcome.checks) {
    object["checks"].push_back({{"step", check.number},
                                {"name", check.name},
                                {"result", setup::describe(check.result)},
                                {"seen", check.seen}});
  }
  object["proof"] = word_for(outcome.proof);
  object["marker_ms"] = milliseconds(outcome.marker_time);
  object["commit_ms"] = milliseconds(outcome.commit_time);
  object["replica_demo_ms"] = milliseconds(outcome.database_time);
  return object;
}

}  // namespace standfast::cli
