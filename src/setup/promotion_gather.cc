#include "setup/promotion_gather.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "setup/names.h"
#include "setup/sync_facts.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr auto kAskStandbyTimeout = base::Seconds(10);
/// What is on its way into a witness, or into its kernel, arrives after its primary has died too. Who moves
/// more often than this, with a pause each time, has a primary that lives.
constexpr int kMostMoves = 4;
constexpr base::Milliseconds kPauseAfterMove{750};
/// Each round gets a witness's WAL, and there are not more of them.
constexpr std::size_t kMostRounds = kMostWitnesses + kMostMoves;

std::string describe_answer(const WitnessBefore& witness) {
  const WitnessJudgement& judgement = witness.judgement;
  const std::string at = witness.position ? witness.position->lsn.to_string() : "";
  switch (judgement.state) {
    case WitnessState::kHasNoMore:
      return fmt::format("{} has up to {}: the standby has all of it", witness.describe(), at);
    case WitnessState::kIsAhead:
      return fmt::format("{} has up to {}: {} bytes more than the standby", witness.describe(), at,
                         judgement.bytes_ahead);
    case WitnessState::kDiverged:
      return fmt::format("{} has WAL that this standby cannot get: {}", witness.describe(), judgement.why);
    case WitnessState::kUnreachable:
      return fmt::format("{} cannot be asked: {}", witness.describe(), judgement.why);
    case WitnessState::kGivenUp:
      return fmt::format("{} is given up: {}", witness.describe(), judgement.why);
  }
  return "";
}

}  // namespace

Gathering::Gathering(const PromotionOptions& options, Standby& standby, const SetupEnvironment& environment,
                     PromotionOutcome& outcome)
    : wish_(options),
      options_(options.standby),
      standby_(standby),
      environment_(environment),
      outcome_(outcome),
      session_(options.standby, standby, environment),
      login_(Error(ErrorCode::kPrecondition, "the standby could not be asked")) {}

Result<void> Gathering::look() {
  base::Reporter& reporter = environment_.reporter;
  reporter.step("", "where the standby and its primary are");
  auto asked = session_.ask();
  if (environment_.stop.is_set()) return env::cancelled_error();
  can_be_asked_ = bool(asked);
  if (can_be_asked_) {
    if (auto undone = session_.undo_killed_run(); !undone)
      standing_reasons_.push_back("what a promotion that was killed has changed cannot be put back: " +
                                  undone.error().message);
    facts_ = session_.facts();
    outcome_.standby = standby_before(facts_);
    login_ = replication_login_of(facts_.primary_conninfo, environment_.files);
  } else {
    reporter.warn("the standby could not be asked: " + asked.error().message, asked.error().hint);
    const pg::ControlFile control = TRY(standby_.cluster.control_file());
    outcome_.standby = standby_before(control);
    facts_ = facts_on_disk(standby_.cluster, control, environment_);
    standing_reasons_.push_back(
        "the standby cannot be asked, so how far it is and what witnesses there are is not known: " +
        asked.error().message);
  }
  outcome_.primary = primary_before(facts_, environment_);
  if (environment_.stop.is_set()) return env::cancelled_error();
  reporter.info(describe_standby(outcome_.standby));
  reporter.info(describe_primary(outcome_.primary));
  if (!can_be_asked_) return base::ok();
  if (auto error = TRY(session_.reason_to_stay_paused())) return *std::move(error);
  return base::ok();
}

// ---------------------------------------------------------------- the witnesses

Result<std::vector<WitnessToAsk>> Gathering::witnesses_of_database() {
  std::vector<WitnessToAsk> known;
  if (!can_be_asked_) return known;
  const env::Wait wait = environment_.wait_at_most(kAskStandbyTimeout);
  const std::string has_database = TRY(session_.connection().query_value(
      fmt::format("SELECT count(*) FROM pg_database WHERE datname = '{}'", kMonitorDatabase), wait));
  if (has_database == "0") return known;
  auto in_database = TRY(standby_.cluster.connect(std::string(kMonitorDatabase), wait, options_.user));
  const WitnessTable table = TRY(read_witness_table(in_database, wait));
  for (const KnownWitness& witness : table.witnesses) known.push_back(to_ask(witness));
  for (const WitnessTable::Unsound& row : table.unsound)
    known.push_back({.name = row.name, .parameters = {}, .cannot_be_asked_because = row.why});
  return known;
}

/// Those of the database, as far as it has been replayed, and those that the user gave.
Result<std::vector<WitnessToAsk>> Gathering::known_witnesses() {
  std::vector<WitnessToAsk> known = wish_.witnesses;
  auto in_database = witnesses_of_database();
  if (environment_.stop.is_set()) return env::cancelled_error();
  if (in_database) {
    known.insert(known.end(), in_database->begin(), in_database->end());
  } else {
    known.push_back(
        {.name = "",
         .parameters = {},
         .cannot_be_asked_because = "standfast.witness could not be read: " + in_database.error().message});
  }
  for (const std::string& name : has_asked_ ? std::vector<std::string>() : wish_.without_witnesses) {
    const auto is_it = [&](const WitnessToAsk& one) { return one.name == name; };
    if (std::any_of(known.begin(), known.end(), is_it)) continue;
    std::vector<std::string> names;
    for (const WitnessToAsk& one : known) names.push_back(one.name);
    return Error(ErrorCode::kUsage, fmt::format("--without-witness: no witness \"{}\" is known", name),
                 names.empty() ? "Leave it out: no witness is known."
                               : fmt::format("Known are: {}.", fmt::join(names, ", ")));
  }
  return known;
}

/// One that the user does without, and one that was not there a moment ago, where that was accepted: nobody
/// waits for it again.
std::optional<WitnessBefore> Gathering::need_not_ask(const WitnessToAsk& witness) const {
  WitnessBefore given_up{.name = witness.name, .where = {}};
  given_up.judgement.state = WitnessState::kGivenUp;
  const auto& without = wish_.without_witnesses;
  if (!witness.name.empty() && std::find(without.begin(), without.end(), witness.name) != without.end()) {
    given_up.judgement.why = "--without-witness; what only it has is lost";
    return given_up;
  }
  for (const WitnessBefore& before : outcome_.witnesses) {
    const bool is_it = witness.name.empty() ? before.name.empty() && before.parameters == witness.parameters
                                            : before.name == witness.name;
    if (!is_it) continue;
    const bool is_silent = before.judgement.state == WitnessState::kUnreachable;
    if (is_silent && wish_.on_missing_wal == OnMissingWal::kAcceptLoss) return before;
    if (std::find(given_up_.begin(), given_up_.end(), before.describe()) == given_up_.end()) continue;
    given_up = before;
    given_up.judgement.state = WitnessState::kGivenUp;
    return given_up;
  }
  return std::nullopt;
}

Result<WitnessBefore> Gathering::ask(const WitnessToAsk& witness) {
  if (auto known = need_not_ask(witness)) return *std::move(known);
  if (!login_) {
    WitnessBefore silent{.name = witness.name, .where = {}};
    silent.judgement.why = "the standby's own replication login is not known: " + login_.error().message;
    return silent;
  }
  return ask_witness(witness, *login_,
                     {.system_id = facts_.system_id,
                      .position = position_,
                      .data_directory = standby_.cluster.data_directory(),
                      .version = facts_.version},
                     environment_);
}

void Gathering::say_if_new(const WitnessBefore& witness, const std::vector<WitnessBefore>& before) const {
  const std::string answer = describe_answer(witness);
  const auto is_said = [&](const WitnessBefore& one) { return describe_answer(one) == answer; };
  if (std::none_of(before.begin(), before.end(), is_said)) environment_.reporter.info(answer);
}

Result<void> Gathering::ask_witnesses() {
  if (can_be_asked_) position_ = session_.position();
  const auto known = TRY(known_witnesses());
  std::vector<WitnessBefore> answers;
  for (const WitnessToAsk& witness : known) {
    const WitnessBefore& answer = answers.emplace_back(TRY(ask(witness)));
    say_if_new(answer, outcome_.witnesses);
    auto& first = outcome_.witnesses_at_first;
    const auto is_it = [&](const WitnessBefore& one) { return one.describe() == answer.describe(); };
    if (std::none_of(first.begin(), first.end(), is_it)) first.push_back(answer);
  }
  if (known.empty() && !has_asked_ && can_be_asked_)
    environment_.reporter.info("no witness is known, so nobody is asked for what the standby has not");
  has_asked_ = true;
  outcome_.witnesses = std::move(answers);
  std::vector<std::string> reasons = standing_reasons_;
  if (auto reason = reason_to_refuse(outcome_.witnesses)) reasons.push_back(*std::move(reason));
  outcome_.not_safe_because =
      reasons.empty() ? std::nullopt : std::optional(fmt::format("{}", fmt::join(reasons, "; ")));
  return base::ok();
}

Result<void> Gathering::accept_or_refuse() {
  if (!outcome_.not_safe_because || *outcome_.not_safe_because == accepted_) return base::ok();
  const std::string received =
      fmt::format("the standby has WAL up to {}", lsn_text(outcome_.standby.received));
  if (wish_.on_missing_wal == OnMissingWal::kRefuse) {
    return Error(ErrorCode::kPrecondition,
                 fmt::format("not promoted: {}; {}", *outcome_.not_safe_because, received),
                 "Commits that were acknowledged may be there and not here. " + ways_out(outcome_.witnesses));
  }
  environment_.reporter.warn(
      fmt::format("commits that were acknowledged may be lost: {}; {}", *outcome_.not_safe_because, received),
      "Keep what the witness has until you know that nothing in it is missed.");
  accepted_ = *outcome_.not_safe_because;
  return base::ok();
}

void Gathering::say_what_would_be_done() const {
  if (const WitnessBefore* ahead = furthest_ahead(outcome_.witnesses)) {
    environment_.reporter.info(fmt::format("would first stream {} bytes from {}, up to {}",
                                           ahead->judgement.bytes_ahead, ahead->describe(),
                                           ahead->position->lsn.to_string()));
  }
  if (!outcome_.not_safe_because) return;
  environment_.reporter.info(fmt::format(
      "{}: {}",
      wish_.on_missing_wal == OnMissingWal::kAcceptLoss ? "would go on although" : "would refuse, because",
      *outcome_.not_safe_because));
}

// ---------------------------------------------------------------- the rounds

Result<void> Gathering::gather(OnLivingPrimary leave) {
  if (!can_be_asked_) return base::ok();
  TRY(session_.resume_if_paused());
  int moves = 0;
  for (std::size_t round = 0; round < kMostRounds; ++round) {
    auto replayed = replay_what_was_received();
    if (!replayed && replayed.error().code == ErrorCode::kCancelled) return replayed;
    if (!replayed) {
      if (wish_.on_missing_wal == OnMissingWal::kRefuse) return replayed;
      standing_reasons_.push_back(replayed.error().message);
    }
    const std::vector<WitnessBefore> before = outcome_.witnesses;
    TRY(ask_witnesses());
    TRY(accept_or_refuse());
    // One that moved is looked at once more even if the standby happens to be level with it just now.
    const WitnessBefore* moving = one_that_moved(before, outcome_.witnesses);
    if (moving != nullptr) {
      if (++moves > kMostMoves) return leave_behind(*moving, leave);
      if (env::wait_for(-1, 0, environment_.wait_at_most(kPauseAfterMove)) == env::Ready::kStopped)
        return env::cancelled_error();
    }
    const WitnessBefore* furthest = furthest_ahead(outcome_.witnesses);
    if (furthest == nullptr && moving == nullptr) return base::ok();
    if (furthest == nullptr) continue;
    const WitnessBefore ahead = *furthest;
    if (TRY(catch_up(ahead)) == Reached::kGivenUp) given_up_.push_back(ahead.describe());
  }
  return Error(ErrorCode::kTimeout, "the witnesses go on having more than the standby",
               "Look at what writes to them, and run this again.");
}

Result<void> Gathering::replay_what_was_received() {
  TRY(session_.replay_what_was_received());
  const ServerFacts& now = session_.facts();
  outcome_.standby.timeline = now.timeline;
  outcome_.standby.received = now.head;
  outcome_.standby.replayed = now.replay;
  return base::ok();
}

Result<Gathering::Reached> Gathering::catch_up(const WitnessBefore& ahead) {
  environment_.reporter.step("", fmt::format("get from {} what the standby has not", ahead.describe()));
  auto reached = session_.catch_up(ahead, *login_);
  if (reached) {
    outcome_.streamed_from = ahead.name.empty() ? ahead.where : ahead.name;
    environment_.reporter.info(fmt::format("received up to {}", reached->head.to_string()));
    return Reached::kAll;
  }
  if (reached.error().code == ErrorCode::kCancelled) return reached.error();
  const std::string reason =
      fmt::format("{} has WAL up to {}, and the standby could not get it: {}", ahead.describe(),
                  ahead.position->lsn.to_string(), reached.error().message);
  if (wish_.on_missing_wal == OnMissingWal::kAcceptLoss) {
    standing_reasons_.push_back(reason);
    return Reached::kGivenUp;
  }
  Error error = std::move(reached).error();
  error.message = "not promoted: " + reason;
  error.hint += error.hint.empty() ? "" : "\n";
  error.hint +=
      "Let it stream from there; or, if that WAL is to be given up: " +
      (ahead.name.empty() ? "--accept-data-loss." : fmt::format("--without-witness {}.", ahead.name));
  return error;
}

Result<void> Gathering::leave_behind(const WitnessBefore& moving, OnLivingPrimary leave) {
  return get_leave(
      {.what = fmt::format("{} goes on getting WAL, now up to {}: its primary lives", moving.describe(),
                           moving.position->lsn.to_string()),
       .then = "whatever it acknowledges from now on is lost to the new primary",
       .remedy = "Stop the old primary where it runs; that it cannot be reached from here does not "
                 "keep clients from it."},
      leave, environment_);
}

// ---------------------------------------------------------------- afterwards

void Gathering::look_again() {
  if (!can_be_asked_) return;
  if (outcome_.timeline && outcome_.begins_at) {
    position_ = WalPosition{*outcome_.timeline, *outcome_.begins_at};
    for (const WitnessBefore& before : outcome_.witnesses) {
      if (!before.position) continue;
      auto after = ask({.name = before.name, .parameters = before.parameters});
      if (!after) return;
      outcome_.witnesses_after.push_back(*std::move(after));
    }
  }
  if (!session_.ask()) return;
  const ServerFacts& now = session_.facts();
  outcome_.synchronous_standby_names = now.synchronous_standby_names;
  const auto list = pg::SyncStandbyNames::parse(now.synchronous_standby_names);
  outcome_.commits_stand_still = list && !list->is_empty() && streaming_of(*list, now.senders) < list->count;
}

}  // namespace standfast::setup
