#include "setup/sync.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "pg/format/sql_text.h"
#include "setup/names.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kConnectTimeout(15);
constexpr base::Seconds kStatementTimeout(30);
constexpr base::Seconds kTakeUpTimeout(20);
/// A receiver that reports only now and then does so every 10 s.
constexpr base::Seconds kFreshTimeout(12);
constexpr base::Milliseconds kPoll(100);

Result<pg::SyncStandbyNames> parse_names(const std::string& text) {
  auto names = pg::SyncStandbyNames::parse(text);
  if (names) return *std::move(names);
  return Error(ErrorCode::kProtocol, fmt::format("synchronous_standby_names is not understood: {}", text));
}

/// A name counts as often as it streams, and not at all without a flush position.
Result<void> check_streams(const SyncFacts& facts, const std::string& name, bool is_listed) {
  std::vector<const WalSender*> found;
  for (const WalSender& sender : facts.senders) {
    if (equal_names(sender.application_name, name)) found.push_back(&sender);
  }
  if (found.empty()) {
    if (is_listed) {
      return Error(
          ErrorCode::kPrecondition,
          fmt::format("\"{}\" is in the list already, and nobody streams by that name", name),
          fmt::format("Start it; or take it out: standfast sync disable {}; or give the old list up with "
                      "--only.",
                      name));
    }
    std::vector<std::string> others;
    for (const WalSender& sender : facts.senders) others.push_back(sender.application_name);
    return Error(ErrorCode::kPrecondition, fmt::format("nobody streams by the name \"{}\"", name),
                 others.empty()
                     ? "Start it first: with it in the list, every commit would wait for it."
                     : fmt::format("Start it first, or take the name that it goes by: these stream: {}.",
                                   fmt::join(others, ", ")));
  }
  if (found.size() > 1) {
    return Error(
        ErrorCode::kPrecondition,
        fmt::format("{} connections stream by the name \"{}\", and each would count", found.size(), name),
        "Give each its own application_name.");
  }
  const WalSender& sender = *found.front();
  if (sender.state.empty()) {
    return Error(ErrorCode::kPermission, fmt::format("whether \"{}\" streams is hidden from this role", name),
                 "Log in as a superuser, or as a member of pg_monitor.");
  }
  if (sender.state != "streaming" || !sender.flush) {
    return Error(
        ErrorCode::kPrecondition,
        fmt::format("\"{}\" has no WAL on its disk yet that could count (state: {})", name, sender.state),
        "Wait until status shows it streaming with a flush position, and run this again. A receiver that "
        "never reports one, as pg_receivewal without a slot, cannot be waited for.");
  }
  return base::ok();
}

/// What streams may be frozen, or write to its disk when a segment is full: it has to come up to here in
/// time.
Result<void> wait_until_fresh(client::Connection& connection, const pg::SyncStandbyNames& list, pg::Lsn head,
                              const SetupEnvironment& environment) {
  const env::Wait fresh = environment.wait_at_most(kFreshTimeout);
  while (true) {
    const auto facts = TRY(read_server_facts(connection, environment.wait_at_most(kStatementTimeout)));
    const auto stale = stale_names(list, facts.senders, head);
    if (stale.empty()) return base::ok();
    if (fresh.deadline.passed()) {
      return Error(
          ErrorCode::kPrecondition,
          fmt::format("\"{}\" does not come up to {} in {}: commits would wait for it", stale.front(),
                      head.to_string(), base::format_duration(kFreshTimeout)),
          "If it still catches up, run this again later; if it hangs, mend it. A pg_receivewal needs "
          "--synchronous.");
    }
    if (env::wait_for(-1, 0, environment.wait_at_most(kPoll)) == env::Ready::kStopped)
      return env::cancelled_error();
  }
}

Result<void> set_names(client::Connection& connection, const std::string& names,
                       const SetupEnvironment& environment) {
  const env::Wait wait = environment.wait_at_most(kStatementTimeout);
  TRY(connection.execute("ALTER SYSTEM SET synchronous_standby_names = " + pg::quote_literal(names), wait));
  TRY(connection.query("SELECT pg_reload_conf()", wait));
  const env::Wait taken_up = environment.wait_at_most(kTakeUpTimeout);
  while (TRY(connection.query_value("SHOW synchronous_standby_names", wait)) != names) {
    if (taken_up.deadline.passed()) {
      return Error(
          ErrorCode::kTimeout, "the server has not taken synchronous_standby_names up",
          "Look into its log, and at pg_file_settings for a line that wins over postgresql.auto.conf.");
    }
    if (env::wait_for(-1, 0, environment.wait_at_most(kPoll)) == env::Ready::kStopped)
      return env::cancelled_error();
  }
  return base::ok();
}

/// None where the table cannot be read: then nothing is said of what is missing in it.
std::optional<std::vector<KnownWitness>> witnesses_of(client::ConnectOptions server,
                                                      client::Connection& connection, const env::Wait& wait) {
  const auto has_database = connection.query_value(
      fmt::format("SELECT count(*) FROM pg_database WHERE datname = '{}'", kMonitorDatabase), wait);
  if (!has_database) return std::nullopt;
  if (*has_database == "0") return std::vector<KnownWitness>();
  auto in_database = client::Connection::open(server.set("dbname", std::string(kMonitorDatabase)), wait);
  if (!in_database) return std::nullopt;
  auto known = read_witnesses(*in_database, wait);
  return known ? std::optional(*std::move(known)) : std::nullopt;
}

Result<client::Connection> connect(const client::ConnectOptions& server,
                                   const SetupEnvironment& environment) {
  return client::Connection::open(server, environment.wait_at_most(kConnectTimeout));
}

Result<SyncOutcome> begin_change(client::Connection& connection, const SetupEnvironment& environment) {
  return SyncOutcome{.before = TRY(read_sync_facts(connection, environment.wait_at_most(kStatementTimeout))),
                     .names = {}};
}

Result<void> finish_change(client::Connection& connection, const pg::SyncStandbyNames& list, RunMode mode,
                           const SetupEnvironment& environment, SyncOutcome& outcome) {
  const auto before = TRY(parse_names(outcome.before.names));
  outcome.names = list.to_string();
  outcome.changed = outcome.names != before.to_string();
  outcome.was_plain_list =
      before.is_plain_list && before.names.size() > 1 && !list.is_empty() && !list.is_plain_list;
  outcome.planned_only = outcome.changed && mode == RunMode::kDryRun;
  if (!outcome.changed || outcome.planned_only) return base::ok();
  return set_names(connection, outcome.names, environment);
}

Result<void> check_may_change(const SyncFacts& facts, const std::string& line) {
  if (facts.is_in_recovery) {
    return Error(ErrorCode::kPrecondition,
                 "this server is a standby: who is waited for is the primary's to say",
                 "Run this on the primary.");
  }
  const std::string setting = "synchronous_standby_names = " + line;
  if (facts.source == "command line") {
    return Error(ErrorCode::kPrecondition, "synchronous_standby_names is given on the server's command line",
                 "Change it where the server is started, and restart it: " + setting);
  }
  if (!facts.may_alter_system) {
    return Error(ErrorCode::kPrecondition,
                 "allow_alter_system is off: the configuration is somebody else's to change",
                 "Set it there by hand, then reload: " + setting);
  }
  return base::ok();
}

}  // namespace

Result<pg::SyncStandbyNames> plan_enable(const SyncFacts& facts, const SyncChange& change) {
  pg::SyncStandbyNames list = TRY(parse_names(facts.names));
  if (change.only_these) list = {};
  if (list.has_wildcard()) {
    return Error(
        ErrorCode::kPrecondition,
        "synchronous_standby_names has \"*\": whoever connects counts, a copy that is being made too",
        "Name all who are to count, with --only.");
  }
  // "a" alone, or nothing: what is meant is that one more copy be safe.
  if (list.is_empty() || list.is_plain_list) {
    list.method = pg::SyncMethod::kAny;
    list.is_plain_list = false;
  }
  const pg::SyncStandbyNames there = list;
  for (const std::string& name : change.names) {
    if (!list.names_it(name)) list.names.push_back(name);
  }
  list.method = change.method.value_or(list.method);
  list.count = change.count.value_or(list.count);
  TRY(check_may_change(facts, pg::quote_literal(list.to_string())));
  if (list.count > list.names.size()) {
    return Error(ErrorCode::kUsage,
                 fmt::format("{} of {} cannot be waited for", list.count, list.names.size()),
                 "Name more, or ask for fewer.");
  }
  for (const std::string& name : list.names) TRY(check_streams(facts, name, there.names_it(name)));
  return list;
}

Result<pg::SyncStandbyNames> plan_disable(const SyncFacts& facts, const SyncChange& change) {
  pg::SyncStandbyNames list = TRY(parse_names(facts.names));
  if (change.names.empty()) list = {};
  for (const std::string& name : change.names) {
    if (list.is_empty() || list.names_it(name)) continue;
    return Error(ErrorCode::kPrecondition,
                 fmt::format("\"{}\" is not in synchronous_standby_names: {}", name, facts.names),
                 "See standfast sync show.");
  }
  std::erase_if(list.names, [&](const std::string& each) {
    return std::any_of(change.names.begin(), change.names.end(),
                       [&](const auto& name) { return equal_names(name, each); });
  });
  if (list.is_empty()) list = {};
  list.count =
      std::min(list.count, std::max<std::uint32_t>(1, static_cast<std::uint32_t>(list.names.size())));
  TRY(check_may_change(facts, pg::quote_literal(list.to_string())));
  const std::size_t streaming = streaming_of(list, facts.senders);
  if (list.is_empty() || change.names.empty() || streaming >= list.count) return list;
  return Error(
      ErrorCode::kPrecondition,
      fmt::format("then every commit would stand still: {} is left, and of these {} stream with a flush "
                  "position",
                  list.to_string(), streaming),
      "Start them first; or let commits wait for nobody: standfast sync disable");
}

std::vector<std::string> stale_names(const pg::SyncStandbyNames& list, const std::vector<WalSender>& senders,
                                     pg::Lsn head) {
  std::vector<std::string> stale;
  for (const std::string& name : list.names) {
    const auto is_fresh = [&](const WalSender& sender) {
      return equal_names(sender.application_name, name) && sender.flush && *sender.flush >= head;
    };
    if (std::none_of(senders.begin(), senders.end(), is_fresh)) stale.push_back(name);
  }
  return stale;
}

std::vector<std::string> unknown_witnesses(const pg::SyncStandbyNames& list,
                                           const std::vector<WalSender>& senders,
                                           const std::vector<KnownWitness>& known) {
  std::vector<std::string> unknown;
  for (const WalSender& sender : senders) {
    const std::string& name = sender.application_name;
    const auto is_it = [&](const KnownWitness& witness) { return witness.name == name; };
    if (sender.replays_nothing() && list.names_it(name) && std::none_of(known.begin(), known.end(), is_it))
      unknown.push_back(name);
  }
  return unknown;
}

std::vector<std::string> listed_without_replay(const SyncFacts& facts) {
  std::vector<std::string> found;
  const auto list = pg::SyncStandbyNames::parse(facts.names);
  if (!list) return found;
  for (const WalSender& sender : facts.senders) {
    if (sender.flush && !sender.replay && list->names_it(sender.application_name))
      found.push_back(sender.application_name);
  }
  return found;
}

Result<SyncOutcome> enable_sync(const client::ConnectOptions& server, const SyncChange& change, RunMode mode,
                                const SetupEnvironment& environment) {
  auto connection = TRY(connect(server, environment));
  SyncOutcome outcome = TRY(begin_change(connection, environment));
  const pg::SyncStandbyNames list = TRY(plan_enable(outcome.before, change));
  TRY(wait_until_fresh(connection, list, outcome.before.head, environment));
  TRY(finish_change(connection, list, mode, environment, outcome));
  const auto known = witnesses_of(server, connection, environment.wait_at_most(kStatementTimeout));
  if (known) outcome.unknown_witnesses = unknown_witnesses(list, outcome.before.senders, *known);
  return outcome;
}

Result<SyncOutcome> disable_sync(const client::ConnectOptions& server, const SyncChange& change, RunMode mode,
                                 const SetupEnvironment& environment) {
  auto connection = TRY(connect(server, environment));
  SyncOutcome outcome = TRY(begin_change(connection, environment));
  const pg::SyncStandbyNames list = TRY(plan_disable(outcome.before, change));
  TRY(finish_change(connection, list, mode, environment, outcome));
  return outcome;
}

}  // namespace standfast::setup
