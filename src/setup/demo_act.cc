#include "setup/demo_act.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "env/process_family.h"
#include "pg/format/conninfo.h"
#include "pg/format/sql_text.h"
#include "pg/server/cluster.h"
#include "pg/server/control.h"
#include "setup/demo_witness.h"
#include "setup/nested_reporter.h"
#include "setup/server_facts.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// An address of this very host, as all of 127.0.0.0/8, that no server of the demo listens on.
constexpr const char* kNowhere = "127.0.0.2";
constexpr std::size_t kSessions = 8;
constexpr std::uint64_t kCommitsBeforeTheKill = 1000;
constexpr base::Seconds kCommitsTimeout{120};
constexpr base::Seconds kCutTimeout{60};
constexpr base::Seconds kKillTimeout{30};
constexpr base::Milliseconds kPoll{20};

std::uint64_t number_of(const client::Rows& rows, std::string_view column) {
  return static_cast<std::uint64_t>(integer_of(rows, 0, column).value_or(0));
}

}  // namespace

std::string count_acknowledged_sql(const std::vector<DemoWriters::Session>& sessions) {
  std::string told;
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    told += fmt::format("{}({}, {})", i == 0 ? "" : ", ", i + 1, sessions[i].acknowledged);
  }
  return fmt::format(
      "SELECT count(*) FILTER (WHERE found.number <= told.number) AS told, count(*) AS present FROM {} AS "
      "found "
      "JOIN (VALUES {}) AS told (session, number) USING (session)",
      DemoWriters::kTable, told);
}

Result<std::string> led_nowhere(const std::string& primary_conninfo) {
  pg::Conninfo conninfo = TRY(pg::Conninfo::parse(primary_conninfo));
  conninfo.set("hostaddr", kNowhere);
  return conninfo.to_string();
}

Result<DemoLossProof> DemoAct::run() {
  TRY(cut_standby_off());
  TRY(commit_and_kill());
  TRY(promote());
  TRY(count());
  return std::move(proof_);
}

// ---------------------------------------------------------------- the standby is cut off

Result<void> DemoAct::cut_standby_off() {
  base::Reporter& reporter = stage_.reporter();
  reporter.step("4.4", "cut the standby off: from here on its receiver gets nothing");
  auto primary = TRY(stage_.connect(primary_));
  TRY(primary.execute(DemoWriters::create_table(), stage_.wait()));
  auto standby = TRY(stage_.connect(standby_));
  TRY(wait_for_standby(primary, standby));
  TRY(lead_nowhere(std::move(standby)));
  TRY(wait_until_it_is_gone(primary));
  proof_.standby_lsn = TRY(standby_position());
  reporter.info(fmt::format(
      "its primary_conninfo leads to {} now (hostaddr), where nobody listens; its server runs on", kNowhere));
  reporter.info(fmt::format("it has WAL up to {}, the table {} without a row in it",
                            proof_.standby_lsn.to_string(), DemoWriters::kTable));
  return base::ok();
}

/// It learns by replication of the witness and of the table.
Result<void> DemoAct::wait_for_standby(client::Connection& primary, client::Connection& standby) const {
  const pg::Lsn end = TRY(read_server_facts(primary, stage_.wait())).head;
  const env::Wait patience = stage_.environment.wait_at_most(kCutTimeout);
  while (TRY(read_server_facts(standby, stage_.wait())).replay.value_or(pg::Lsn()) < end) {
    if (patience.deadline.passed()) {
      return Error(ErrorCode::kTimeout,
                   fmt::format("the standby has not replayed up to {} in time", end.to_string()));
    }
    if (env::wait_for(-1, 0, stage_.environment.wait_at_most(kPoll)) == env::Ready::kStopped)
      return env::cancelled_error();
  }
  return base::ok();
}

Result<void> DemoAct::lead_nowhere(client::Connection standby) const {
  const ServerFacts facts = TRY(read_server_facts(standby, stage_.wait()));
  const std::string conninfo = TRY(led_nowhere(facts.primary_conninfo));
  TRY(standby.execute("ALTER SYSTEM SET primary_conninfo = " + pg::quote_literal(conninfo), stage_.wait()));
  if (facts.version.primary_conninfo_reloads()) {
    TRY(standby.query("SELECT pg_reload_conf()", stage_.wait()));
    return base::ok();
  }
  standby.close();
  stage_.reporter().info(
      fmt::format("PostgreSQL {} takes primary_conninfo up at a start only, so the standby restarts",
                  facts.version.major()));
  const auto cluster = TRY(server::Cluster::open(stage_.environment.files, standby_.data_directory));
  auto control =
      TRY(server::ServerControl::choose(stage_.environment.files, cluster, stage_.installation, nullptr));
  return control.restart(stage_.environment.wait_at_most(kCutTimeout));
}

Result<void> DemoAct::wait_until_it_is_gone(client::Connection& primary) const {
  const env::Wait patience = stage_.environment.wait_at_most(kCutTimeout);
  while (true) {
    const ServerFacts facts = TRY(read_server_facts(primary, stage_.wait()));
    const bool is_there =
        std::any_of(facts.senders.begin(), facts.senders.end(),
                    [&](const WalSender& sender) { return sender.application_name == standby_name_; });
    if (!is_there) return base::ok();
    if (patience.deadline.passed())
      return Error(ErrorCode::kTimeout, "the standby still streams from the primary");
    if (env::wait_for(-1, 0, stage_.environment.wait_at_most(kPoll)) == env::Ready::kStopped)
      return env::cancelled_error();
  }
}

Result<pg::Lsn> DemoAct::standby_position() const {
  auto standby = TRY(stage_.connect(standby_));
  return TRY(read_server_facts(standby, stage_.wait())).head;
}

// ---------------------------------------------------------------- commits, and the end of the primary

Result<void> DemoAct::commit_and_kill() {
  base::Reporter& reporter = stage_.reporter();
  reporter.step("4.5", "commit rows on the primary: only the witness is there to acknowledge them");
  auto writers = TRY(DemoWriters::open(TRY(stage_.connection_to(primary_)), kSessions, stage_.wait()));
  const base::Stopwatch watch;
  writers.start();
  TRY(writers.wait_for(kCommitsBeforeTheKill, stage_.environment.wait_at_most(kCommitsTimeout)));
  reporter.info(fmt::format("{} commits of one row each by {} sessions were acknowledged in {}",
                            writers.acknowledged(), kSessions, base::format_duration(watch.elapsed())));
  TRY(look_before_kill());
  reporter.step("4.6", "kill the primary with SIGKILL, while the sessions go on committing");
  TRY(kill_primary());
  sessions_ = writers.end_with_their_server();
  base::Clock::duration total{};
  for (const DemoWriters::Session& session : sessions_) {
    proof_.acknowledged_rows += session.acknowledged;
    proof_.longest_commit = std::max(proof_.longest_commit, session.longest);
    total += session.total;
  }
  proof_.mean_commit =
      total / static_cast<std::int64_t>(std::max<std::uint64_t>(1, proof_.acknowledged_rows));
  reporter.info(
      fmt::format("{} commits had been acknowledged by then, after {} on average and {} at most; the "
                  "connections are lost",
                  proof_.acknowledged_rows, base::format_duration(proof_.mean_commit),
                  base::format_duration(proof_.longest_commit)));
  return base::ok();
}

Result<void> DemoAct::look_before_kill() {
  auto primary = TRY(stage_.connect(primary_));
  const ServerFacts facts = TRY(read_server_facts(primary, stage_.wait()));
  for (const WalSender& sender : facts.senders) {
    if (sender.application_name == DemoWitness::kName && sender.flush)
      proof_.acknowledged_lsn = *sender.flush;
  }
  const pg::Lsn standby_now = TRY(standby_position());
  stage_.reporter().info(fmt::format(
      "the witness has acknowledged WAL up to {}; the standby {} {}", proof_.acknowledged_lsn.to_string(),
      standby_now == proof_.standby_lsn ? "is still at" : "has come to", standby_now.to_string()));
  return base::ok();
}

/// Not held up by Ctrl-C: half of a server is nothing to leave.
Result<void> DemoAct::kill_primary() const {
  env::FileSystem& files = stage_.environment.files;
  const auto cluster = TRY(server::Cluster::open(files, primary_.data_directory));
  const auto postmaster = TRY(cluster.running());
  if (!postmaster) return Error(ErrorCode::kServerControl, "the primary does not run any more");
  const std::size_t processes =
      TRY(env::kill_with_children(files, postmaster->pid, env::Wait::for_at_most(kKillTimeout)));
  stage_.reporter().info(
      fmt::format("{} processes, the postmaster {} and its children, are gone", processes, postmaster->pid));
  return base::ok();
}

// ---------------------------------------------------------------- the promotion, and the count

Result<void> DemoAct::promote() {
  stage_.reporter().step("4.7", "standfast standby promote -D " + standby_.data_directory);
  NestedReporter nested(stage_.reporter());
  const SetupEnvironment environment{
      .files = stage_.environment.files, .stop = stage_.environment.stop, .reporter = nested};
  PromotionOptions promotion;
  promotion.standby.data_directory = standby_.data_directory;
  promotion.standby.bin_directory = stage_.installation.bin_directory;
  proof_.promotion = TRY(run_promotion(promotion, environment));
  return base::ok();
}

Result<void> DemoAct::count() {
  base::Reporter& reporter = stage_.reporter();
  reporter.step("4.8", "count the rows on the new primary");
  auto primary = TRY(stage_.connect(standby_));
  const auto rows = TRY(primary.query(count_acknowledged_sql(sessions_), stage_.wait()));
  proof_.found_rows = number_of(rows, "told");
  proof_.further_rows = number_of(rows, "present") - proof_.found_rows;
  reporter.info(fmt::format("{} rows whose commit was acknowledged, {} of them found",
                            proof_.acknowledged_rows, proof_.found_rows));
  if (proof_.further_rows > 0) {
    reporter.info(fmt::format("{} more are there, whose commit was on its way when the primary died",
                              proof_.further_rows));
  }
  if (const auto& begin = proof_.promotion.begins_at) {
    reporter.info(
        fmt::format("the standby had WAL up to {}, the witness had acknowledged {}, the new primary "
                    "goes on from {}",
                    proof_.standby_lsn.to_string(), proof_.acknowledged_lsn.to_string(), begin->to_string()));
  }
  if (proof_.found_rows == proof_.acknowledged_rows) return base::ok();
  return Error(ErrorCode::kNotReplicating,
               fmt::format("{} of {} rows whose commit was acknowledged are missing on the new primary",
                           proof_.acknowledged_rows - proof_.found_rows, proof_.acknowledged_rows),
               "This must not happen. Please report it, with all that this run has said.");
}

}  // namespace standfast::setup
