#include "setup/promotion.h"

#include <utility>

#include <fmt/format.h>

#include "setup/promotion_gather.h"
#include "setup/promotion_report.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// Two primaries: the one thing that must not happen because nobody looked.
Result<void> get_leave_of(const PrimaryBefore& primary, OnLivingPrimary leave,
                          const SetupEnvironment& environment) {
  if (primary.state == PrimaryState::kUnreachable) {
    environment.reporter.warn(
        fmt::format("the primary at {} cannot be reached from here, which does not say that it is dead",
                    primary.where),
        "Stop it first, or make sure that no client reaches it: what it still acknowledges is lost to this "
        "one.");
  }
  if (!is_alive(primary.state)) return base::ok();
  return get_leave(
      {.what = fmt::format("the primary at {} still runs", primary.where),
       .then = "after the promotion there are two, and each takes writes that the other never gets",
       .remedy = fmt::format("Stop the one at {} first, or make sure that no client writes to it any more.",
                             primary.where)},
      leave, environment);
}

class Promotion {
 public:
  Promotion(const PromotionOptions& options, const SetupEnvironment& environment)
      : wish_(options), environment_(environment) {}

  Result<PromotionOutcome> run() {
    Standby standby = TRY(open_standby(wish_.standby, environment_));
    TRY(check_runs(standby.cluster));
    Gathering gathering(wish_, standby, environment_, outcome_);
    auto promoted = Promoted::kNo;
    const auto done = promote(standby, gathering, promoted);
    if (!outcome_.planned_only) gathering.put_back(promoted);
    if (!done) return done.error();
    if (outcome_.planned_only) return outcome_;
    if (auto known = read_new_timeline(standby.cluster, environment_, outcome_); !known) {
      environment_.reporter.warn(
          "it is a primary now, but its timeline could not be read: " + known.error().message, "");
    }
    gathering.look_again();
    report_promotion(standby.cluster.data_directory(), environment_, outcome_);
    return outcome_;
  }

 private:
  Result<void> check_runs(const server::Cluster& cluster) const {
    if (TRY(cluster.running())) return base::ok();
    return Error(ErrorCode::kPrecondition,
                 fmt::format("the standby on \"{}\" is not running", cluster.data_directory()),
                 fmt::format("Start it first: standfast standby start -D {}", cluster.data_directory()));
  }

  Result<void> promote(Standby& standby, Gathering& gathering, Promoted& promoted) {
    TRY(gathering.look());
    TRY(gathering.ask_witnesses());
    const bool lives = is_alive(outcome_.primary.state);
    if (wish_.standby.mode == RunMode::kDryRun) {
      outcome_.planned_only = true;
      gathering.say_what_would_be_done();
      environment_.reporter.info("would promote it" +
                                 std::string(lives ? ", after a yes, because the primary runs" : ""));
      return base::ok();
    }
    TRY(gathering.accept_or_refuse());
    TRY(get_leave_of(outcome_.primary, wish_.on_living_primary, environment_));
    TRY(gathering.gather(lives ? OnLivingPrimary::kPromoteAnyway : wish_.on_living_primary));
    environment_.reporter.step("", "promote the standby");
    const base::Stopwatch watch;
    promoted = Promoted::kToldTo;
    TRY(standby.control.promote(environment_.wait_at_most(wish_.standby.timeout)));
    outcome_.elapsed = watch.elapsed();
    return base::ok();
  }

  const PromotionOptions& wish_;
  const SetupEnvironment& environment_;
  PromotionOutcome outcome_;
};

}  // namespace

Result<PromotionOutcome> run_promotion(const PromotionOptions& options, const SetupEnvironment& environment) {
  return Promotion(options, environment).run();
}

}  // namespace standfast::setup
