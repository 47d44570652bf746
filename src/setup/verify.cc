#include "setup/verify.h"

#include <algorithm>
#include <functional>
#include <utility>

#include <fmt/format.h>

#include "setup/collations.h"
#include "setup/marker.h"
#include "setup/names.h"
#include "setup/pair.h"
#include "setup/verify_checks.h"

namespace standfast::setup {
namespace {

using base::Clock;
using base::Error;
using base::ErrorCode;
using base::Milliseconds;
using base::Result;

/// A receiver that has just been cut off is back after wal_retrieve_retry_interval, 5 s unless set otherwise.
constexpr base::Seconds kGrace{6};
constexpr Milliseconds kGraceInterval{200};
constexpr base::Seconds kConnectTimeout{15};
/// Of one statement; what the user waits for is bounded by his own timeout.
constexpr base::Seconds kStatementTimeout{60};
/// Between two looks at the standby: short at first, since an idle pair needs a millisecond or two.
constexpr Milliseconds kFirstPoll{1};
constexpr Milliseconds kLongestPoll{50};
constexpr Milliseconds kDiagnoseInterval{300};
constexpr base::Seconds kDropWait{5};

/// Asking again changes nothing; all else may be a standby that restarts, or has not replayed that far.
bool is_for_good(const Error& error) {
  constexpr std::string_view kInsufficientPrivilege = "42501";
  return error.code == ErrorCode::kAuthentication || error.code == ErrorCode::kPermission ||
         error.sqlstate == kInsufficientPrivilege;
}

class Verification {
 public:
  Verification(const VerifyOptions& options, const SetupEnvironment& environment, Pair pair)
      : options_(options), environment_(environment), pair_(std::move(pair)) {}

  Result<VerifyOutcome> run() {
    const bool wants_database = options_.database == DatabaseProof::kCreateReplicaDemo;
    // What forbids the database is found before anything is written.
    std::optional<ReplicaDemo> demo;
    if (wants_database) demo = TRY(prepare_database());
    TRY(look());
    if (!outcome_.failure && pair_.standby) TRY(compare_collations());
    if (!outcome_.failure) TRY(pair_.primary() != nullptr ? prove_by_marker() : prove_by_position());
    if (!outcome_.failure && demo) TRY(prove_by_database(*demo));
    return std::move(outcome_);
  }

 private:
  using Seen = std::function<Result<bool>()>;

  /// Writes and what undoes them are not cut short by Ctrl-C: that would leave them behind. They are bounded.
  static env::Wait whole() { return env::Wait::for_at_most(kStatementTimeout); }

  void say(Check check) {
    environment_.reporter.check(
        check.number, fmt::format("{:<17}  {:<7}  {}", check.name, describe(check.result), check.seen));
    outcome_.checks.push_back(std::move(check));
  }

  void fail(std::string number, std::string name, Error error) {
    say({std::move(number), std::move(name), CheckResult::kFailed, error.message});
    outcome_.failure = std::move(error);
  }

  // -------------------------------------------------------------- looking

  Result<void> look() {
    const auto grace = base::Deadline::after(kGrace);
    while (true) {
      look_for_standby(pair_, environment_);
      // Who could not be asked in time is only left out; who was not asked because of Ctrl-C is not.
      if (environment_.stop.is_set()) return env::cancelled_error();
      LookedAt looked = TRY(look_at_pair(pair_.facts()));
      const bool may_change = looked.failure && looked.failure->code != ErrorCode::kPermission &&
                              looked.failure->code != ErrorCode::kPrecondition &&
                              looked.failure->code != ErrorCode::kSlotLost;
      if (!may_change || grace.passed()) {
        for (Check& check : looked.checks) say(std::move(check));
        outcome_.failure = std::move(looked.failure);
        outcome_.proof = pair_.standby ? ProofKind::kSeenOnStandby : ProofKind::kReplayedBySender;
        return base::ok();
      }
      TRY(sleep(kGraceInterval));
      TRY(pair_.above.refresh(environment_.wait_at_most(kConnectTimeout)));
      for (Side& side : pair_.further) TRY(side.refresh(environment_.wait_at_most(kConnectTimeout)));
      if (pair_.standby) TRY(pair_.standby->refresh(environment_.wait_at_most(kConnectTimeout)));
    }
  }

  Result<void> sleep(Clock::duration duration) const {
    if (env::wait_for(-1, 0, environment_.wait_at_most(duration)) == env::Ready::kStopped) {
      return env::cancelled_error();
    }
    return base::ok();
  }

  /// Both run now, so that both tell by what they sort.
  Result<void> compare_collations() {
    const CollationFacts above = TRY(read_collations(pair_.above.connection, whole()));
    const CollationFacts here = TRY(read_collations(pair_.standby->connection, whole()));
    const auto findings = judge_collations(above, here);
    for (const PairingFinding& finding : findings) {
      const bool is_warning = finding.severity == PairingSeverity::kWarn;
      say({"3.1", "collations", is_warning ? CheckResult::kWarning : CheckResult::kOk, finding.message});
      if (is_warning) environment_.reporter.warn("collations differ", finding.hint);
    }
    if (findings.empty() && (above.libc || above.icu)) {
      say({"3.1", "collations", CheckResult::kOk,
           fmt::format("{}{}{} on both sides", above.libc ? "libc " + *above.libc : "",
                       above.libc && above.icu ? ", " : "", above.icu ? "ICU " + *above.icu : "")});
    }
    return base::ok();
  }

  // -------------------------------------------------------------- the marker

  Result<void> prove_by_marker() {
    if (!TRY(has_marker_database())) return no_marker_database();
    auto above = TRY(pair_.primary()->open_database(std::string(kMonitorDatabase), whole()));
    Marker marker = TRY(Marker::prepare(above, whole()));
    if (marker.leftovers_removed() > 0) {
      environment_.reporter.info(
          fmt::format("removed {} marker(s) that an interrupted run had left", marker.leftovers_removed()));
    }
    const auto written = marker.write(whole());
    Result<void> proved = base::ok();
    if (written) proved = judge_commit(*written);
    if (written && proved) proved = wait_for_marker(marker, *written);
    if (!written) proved = written.error();
    const Result<void> removed = marker.remove(whole());
    if (!removed) {
      environment_.reporter.detail(
          fmt::format("the marker stays until the next run removes it: {}", removed.error().message));
    }
    return proved;
  }

  /// Whether a client would have been told of this commit, and by whom it was waited for.
  Result<void> judge_commit(const Written& written) {
    Side& primary = *pair_.primary();
    const std::string names = TRY(primary.connection.query_value("SHOW synchronous_standby_names", whole()));
    if (names.empty()) return base::ok();
    const std::string taken = base::format_duration(written.commit_time);
    if (written.is_acknowledged) {
      outcome_.commit_time = written.commit_time;
      say({"3.3", "commit", CheckResult::kOk, fmt::format("acknowledged after {} by {}", taken, names)});
      return base::ok();
    }
    TRY(primary.refresh(whole()));
    std::string counting;
    for (const WalSender& sender : primary.facts.senders) {
      if (sender.sync_state != "sync" && sender.sync_state != "quorum" && sender.sync_state != "potential")
        continue;
      counting += (counting.empty() ? "" : ", ") + sender.application_name;
    }
    fail("3.3", "commit",
         Error(
             ErrorCode::kNotReplicating,
             fmt::format("a commit was not acknowledged within {}: it waited for {}, of whom {}", taken,
                         names, counting.empty() ? "nobody streams" : "these stream: " + counting),
             "Applications wait as long as that lasts. Start who is missing; or let commits wait for nobody: "
             "standfast sync disable."));
    return base::ok();
  }

  /// Without a primary that can be asked: all that the standby above has is replayed here.
  Result<void> prove_by_position() {
    CHECK(pair_.standby.has_value());  // only from one is the way up looked for
    say({"3.3", "marker", CheckResult::kSkipped, pair_.why_not_further});
    outcome_.proof = ProofKind::kLevelWithStandbyAbove;
    TRY(pair_.above.refresh(environment_.wait_at_most(kConnectTimeout)));
    const Written had{.lsn = pair_.above.facts.head, .committed = Clock::now()};
    const Seen seen = [&]() -> Result<bool> {
      const auto lsn = pg::Lsn::parse(TRY(pair_.standby->connection.query_value(
          "SELECT coalesce(pg_last_wal_replay_lsn(), '0/0')", whole())));
      return lsn && *lsn >= had.lsn;
    };
    const auto taken = TRY(wait_until_seen("position", had, seen));
    if (!taken) return base::ok();
    say({"3.3", "position", CheckResult::kOk,
         fmt::format("what the standby above has received, up to {}, is replayed here",
                     had.lsn.to_string())});
    return base::ok();
  }

  Result<bool> has_marker_database() {
    const auto rows = TRY(pair_.primary()->connection.query(
        fmt::format("SELECT 1 FROM pg_database WHERE datname = '{}'", kMonitorDatabase), whole()));
    return rows.count() > 0;
  }

  Result<void> no_marker_database() {
    const std::string seen =
        fmt::format("the primary has no database \"{}\" to write it in", kMonitorDatabase);
    if (options_.database == DatabaseProof::kCreateReplicaDemo) {
      say({"3.3", "marker", CheckResult::kSkipped, seen});
      return base::ok();
    }
    fail("3.3", "marker",
         Error(ErrorCode::kPrecondition, seen,
               "Run \"standfast primary setup\" on the primary, which makes it, or verify with "
               "--create-database."));
    return base::ok();
  }

  Result<void> wait_for_marker(const Marker& marker, const Written& written) {
    std::optional<client::Connection> below;
    const Seen seen = [&]() -> Result<bool> {
      // The database itself may be newer than what the standby has replayed.
      if (!below || !below->is_open()) {
        below = TRY(pair_.standby->open_database(std::string(kMonitorDatabase),
                                                 environment_.wait_at_most(kConnectTimeout)));
      }
      return marker.is_seen_by(*below, whole());
    };
    const auto taken = TRY(wait_until_seen("marker", written, seen));
    if (!taken) return base::ok();
    outcome_.marker_time = *taken;
    say({"3.3", "marker", CheckResult::kOk, how_it_was_seen("a row written on the primary", *taken)});
    return base::ok();
  }

  std::string how_it_was_seen(std::string_view what, Clock::duration taken) const {
    if (outcome_.proof == ProofKind::kSeenOnStandby) {
      return fmt::format("{} was seen on the standby after {}", what, base::format_duration(taken));
    }
    return fmt::format("{} was replayed after {}, as its sender on the primary reports", what,
                       base::format_duration(taken));
  }

  // -------------------------------------------------------------- waiting

  /// How long it took from the commit; no value when it was not seen, which is then said and the outcome's
  /// failure.
  Result<std::optional<Clock::duration>> wait_until_seen(const std::string& name, const Written& written,
                                                         const Seen& seen_on_standby) {
    const auto deadline = base::Deadline::at(written.committed + options_.timeout);
    auto next_diagnosis = Clock::now() + kDiagnoseInterval;
    Clock::duration poll = kFirstPoll;
    std::optional<Error> last_error;
    while (true) {
      const Result<bool> seen = pair_.standby ? seen_on_standby() : replayed_by_sender(written.lsn);
      if (seen && *seen) return std::optional(Clock::now() - written.committed);
      if (!seen && is_for_good(seen.error())) return seen.error().with_context("asking the standby");
      last_error = seen ? std::nullopt : std::optional(seen.error());
      if (environment_.stop.is_set()) return env::cancelled_error();
      if (pair_.standby && Clock::now() >= next_diagnosis) {
        next_diagnosis = Clock::now() + kDiagnoseInterval;
        if (auto reason = diagnose(written.lsn, deadline)) {
          fail("3.3", name, *std::move(reason));
          return std::optional<Clock::duration>();
        }
      }
      if (deadline.passed()) {
        fail("3.3", name, not_seen(written.lsn, last_error));
        return std::optional<Clock::duration>();
      }
      TRY(sleep(std::min<Clock::duration>(poll, deadline.remaining())));
      poll = std::min<Clock::duration>(poll * 3 / 2, kLongestPoll);
    }
  }

  Result<bool> replayed_by_sender(pg::Lsn lsn) {
    TRY(pair_.above.refresh(whole()));
    const std::optional<WalSender> sender = TRY(find_sender(pair_.facts()));
    return sender && sender->replay && *sender->replay >= lsn;
  }

  /// A look at a paused or delayed standby that does not answer just now is tried again at the next one.
  std::optional<Error> diagnose(pg::Lsn lsn, const base::Deadline& deadline) {
    if (!pair_.standby->refresh(whole())) return std::nullopt;
    return reason_to_stop_waiting(pair_.standby->facts, {.written = lsn, .left = deadline.remaining()});
  }

  Error not_seen(pg::Lsn lsn, const std::optional<Error>& last_error) {
    const std::string in_time = base::format_duration(options_.timeout);
    if (!pair_.standby) {
      return Error(
          ErrorCode::kNotReplicating,
          fmt::format("WAL up to {} was not replayed within {}, says the primary's sender", lsn.to_string(),
                      in_time),
          "Run \"standfast verify\" on the standby, which can tell whether replay is paused, delayed or "
          "waiting.");
    }
    const bool is_up = pair_.standby->refresh(whole()).has_value();
    if (last_error && (!is_up || pair_.standby->facts.replay.value_or(pg::Lsn()) >= lsn)) {
      Error error =
          last_error->with_context(fmt::format("the standby could not be asked within {}", in_time));
      error.code = ErrorCode::kNotReplicating;
      return error;
    }
    const ServerFacts& standby = pair_.standby->facts;
    if (standby.head < lsn) {
      return Error(
          ErrorCode::kNotReplicating,
          fmt::format("WAL up to {} has not arrived within {}; the standby has {}", lsn.to_string(), in_time,
                      standby.head.to_string()),
          "Look at the network between the two and at the standby's disk; \"standfast status\" shows how far "
          "behind it is.");
    }
    return received_but_not_replayed(in_time);
  }

  Error received_but_not_replayed(const std::string& in_time) {
    const auto waits_for = pair_.standby->connection.query(
        "SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup' AND wait_event LIKE "
        "'RecoveryConflict%'",
        whole());
    if (waits_for && waits_for->count() > 0) {
      return Error(
          ErrorCode::kNotReplicating,
          fmt::format("the WAL has arrived, but replay waits for a query on the standby (longer than {})",
                      in_time),
          "End the long query there, or lower max_standby_streaming_delay.");
    }
    return Error(ErrorCode::kNotReplicating,
                 fmt::format("the WAL has arrived, but was not replayed within {}", in_time),
                 "The standby replays more slowly than it receives, or waits for a query: look at "
                 "pg_stat_activity and "
                 "the disk there, or give a longer --timeout.");
  }

  // -------------------------------------------------------------- the database

  Result<ReplicaDemo> prepare_database() {
    if (pair_.primary() == nullptr) {
      return Error(ErrorCode::kPrecondition, "no primary to create the database on: " + pair_.why_not_further,
                   "Give the primary with -d, or leave --create-database out.");
    }
    ReplicaDemo demo = TRY(ReplicaDemo::prepare(pair_.primary()->connection, whole()));
    if (demo.leftover_removed()) {
      environment_.reporter.info(
          fmt::format("dropped the database {} that an interrupted run had left", ReplicaDemo::kName));
    }
    return demo;
  }

  Result<void> prove_by_database(ReplicaDemo& demo) {
    const auto written = demo.create(whole());
    Result<void> proved = written ? wait_for_database(*written) : Result<void>(written.error());
    const Result<void> dropped = demo.drop(whole());
    if (!dropped) {
      environment_.reporter.warn(fmt::format("the database {} could not be dropped: {}", ReplicaDemo::kName,
                                             dropped.error().message),
                                 "The next run of verify --create-database drops it.");
    } else if (proved && !outcome_.failure && pair_.standby) {
      wait_until_dropped();
    }
    return proved;
  }

  Result<void> wait_for_database(const Written& written) {
    const Seen seen = [&] { return ReplicaDemo::is_seen_by(pair_.standby->connection, whole()); };
    const auto taken = TRY(wait_until_seen(ReplicaDemo::kName, written, seen));
    if (!taken) return base::ok();
    outcome_.database_time = *taken;
    say({"3.3", ReplicaDemo::kName, CheckResult::kOk, how_it_was_seen("the database", *taken)});
    return base::ok();
  }

  /// So that nobody who looks at the standby right after still finds it there.
  void wait_until_dropped() {
    const auto deadline = base::Deadline::after(kDropWait);
    while (!deadline.passed() && !environment_.stop.is_set()) {
      const auto seen = ReplicaDemo::is_seen_by(pair_.standby->connection, whole());
      if (!seen || !*seen) return;
      if (!sleep(kLongestPoll)) return;
    }
  }

  const VerifyOptions& options_;
  const SetupEnvironment& environment_;
  Pair pair_;
  VerifyOutcome outcome_;
};

}  // namespace

std::string_view describe(CheckResult result) {
  switch (result) {
    case CheckResult::kOk:
      return "ok";
    case CheckResult::kWarning:
      return "warning";
    case CheckResult::kFailed:
      return "failed";
    case CheckResult::kSkipped:
      return "skipped";
  }
  return "";
}

Result<VerifyOutcome> run_verify(const VerifyOptions& options, const SetupEnvironment& environment) {
  Pair pair = TRY(open_pair(options.servers, environment));
  if (environment.stop.is_set()) return env::cancelled_error();
  pair.standby_name = options.standby_name;
  return Verification(options, environment, std::move(pair)).run();
}

}  // namespace standfast::setup
