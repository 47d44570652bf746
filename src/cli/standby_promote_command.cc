// `standfast standby promote`: makes a standby a primary, and says what that leaves behind.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/standby_arguments.h"
#include "setup/promotion.h"

namespace standfast::cli {
namespace {

using base::Result;

nlohmann::ordered_json json_of(const std::optional<pg::Lsn>& lsn) {
  return lsn ? nlohmann::ordered_json(lsn->to_string()) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json json_of(const std::optional<pg::TimelineId>& timeline) {
  return timeline ? nlohmann::ordered_json(timeline->value()) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json as_json(const setup::PromotionOutcome& outcome) {
  nlohmann::ordered_json json = {{"planned_only", outcome.planned_only},
                                 {"promoted", !outcome.planned_only},
                                 {"timeline", json_of(outcome.timeline)},
                                 {"begins_at", json_of(outcome.begins_at)},
                                 {"elapsed_seconds", std::chrono::duration<double>(outcome.elapsed).count()}};
  json["standby_before"] = {{"timeline", json_of(outcome.standby.timeline)},
                            {"received", json_of(outcome.standby.received)},
                            {"replayed", json_of(outcome.standby.replayed)},
                            {"replay_paused", outcome.standby.is_replay_paused},
                            {"apply_delay_ms", outcome.standby.apply_delay.count()}};
  const auto bytes = outcome.bytes_left_behind();
  json["primary_before"] = {{"state", setup::name_of(outcome.primary.state)},
                            {"address", outcome.primary.where},
                            {"last_known", json_of(outcome.primary.last_known)},
                            {"last_known_is_its_own_answer", outcome.primary.was_asked}};
  json["bytes_left_behind"] = bytes ? nlohmann::ordered_json(*bytes) : nlohmann::ordered_json(nullptr);
  return json;
}

class StandbyPromoteCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    arguments_.declare(app, StandbyArguments::Login::kRole);
    app.add_flag("-y,--yes", yes_, "promote even if the primary still runs: there will be two");
  }
  Result<void> prepare(CommandContext& context) override { return arguments_.prepare(context); }
  std::optional<OwnerRule> owner_rule() const override { return arguments_.owner_rule(); }

  Result<int> run(CommandContext& context) override {
    const auto on_living = yes_ ? setup::OnLivingPrimary::kPromoteAnyway : setup::OnLivingPrimary::kAsk;
    const auto outcome =
        TRY(setup::run_promotion(arguments_.options(), on_living, StandbyArguments::environment(context)));
    context.output.json(as_json(outcome));
    return 0;
  }

 private:
  StandbyArguments arguments_;
  bool yes_ = false;
};

}  // namespace

std::unique_ptr<Command> make_standby_promote_command() {
  return std::make_unique<StandbyPromoteCommand>();
}

}  // namespace standfast::cli
