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

nlohmann::ordered_json as_json(const setup::WitnessBefore& witness) {
  const auto& position = witness.position;
  return {
      {"name", witness.name.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(witness.name)},
      {"address", witness.where},
      {"state", setup::name_of(witness.judgement.state)},
      {"timeline", json_of(position ? std::optional(position->timeline) : std::nullopt)},
      {"flush", json_of(position ? std::optional(position->lsn) : std::nullopt)},
      {"bytes_ahead", witness.judgement.bytes_ahead},
      {"why", witness.judgement.why}};
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
  json["witnesses"] = nlohmann::ordered_json::array();
  for (const setup::WitnessBefore& witness : outcome.witnesses_at_first)
    json["witnesses"].push_back(as_json(witness));
  json["streamed_from"] = outcome.streamed_from ? nlohmann::ordered_json(*outcome.streamed_from)
                                                : nlohmann::ordered_json(nullptr);
  json["not_safe_because"] = outcome.not_safe_because ? nlohmann::ordered_json(*outcome.not_safe_because)
                                                      : nlohmann::ordered_json(nullptr);
  json["witnesses_after"] = nlohmann::ordered_json::array();
  for (const setup::WitnessBefore& witness : outcome.witnesses_after)
    json["witnesses_after"].push_back(as_json(witness));
  json["synchronous_standby_names"] = outcome.synchronous_standby_names;
  json["commits_stand_still"] = outcome.commits_stand_still;
  json["bytes_left_behind"] = bytes ? nlohmann::ordered_json(*bytes) : nlohmann::ordered_json(nullptr);
  return json;
}

class StandbyPromoteCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    arguments_.declare(app, StandbyArguments::Login::kRole);
    app.add_flag("-y,--yes", yes_, "promote even if the primary still runs: there will be two");
    app.add_option("--witness", witnesses_,
                   "a witness to ask besides those that the database names, by the standby's own replication "
                   "login; again for each")
        ->type_name("CONNINFO")
        ->take_all();
    app.add_option("--without-witness", options_.without_witnesses,
                   "do not ask this witness: what only it has is given up; again for each")
        ->type_name("NAME")
        ->take_all()
        ->allow_extra_args(false);
    app.add_flag("--accept-data-loss", accept_loss_,
                 "promote even if a witness has WAL that the standby cannot get, or cannot be asked");
  }
  Result<void> prepare(CommandContext& context) override {
    for (const std::string& conninfo : witnesses_)
      options_.witnesses.push_back(TRY(setup::witness_by_hand(conninfo)));
    if (yes_) options_.on_living_primary = setup::OnLivingPrimary::kPromoteAnyway;
    if (accept_loss_) options_.on_missing_wal = setup::OnMissingWal::kAcceptLoss;
    return arguments_.prepare(context);
  }
  std::optional<OwnerRule> owner_rule() const override { return arguments_.owner_rule(); }

  Result<int> run(CommandContext& context) override {
    options_.standby = arguments_.options();
    const auto outcome = TRY(setup::run_promotion(options_, StandbyArguments::environment(context)));
    context.output.json(as_json(outcome));
    return 0;
  }

 private:
  StandbyArguments arguments_;
  setup::PromotionOptions options_;
  std::vector<std::string> witnesses_;
  bool yes_ = false;
  bool accept_loss_ = false;
};

}  // namespace

std::unique_ptr<Command> make_standby_promote_command() {
  return std::make_unique<StandbyPromoteCommand>();
}

}  // namespace standfast::cli
