#include "setup/promotion_witnesses.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "env/process.h"
#include "pg/client/certificate_chain.h"
#include "pg/client/replication_connection.h"
#include "pg/format/hba_file.h"
#include "pg/format/passfile.h"
#include "setup/firewall.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// A witness that is gone must not hold a promotion up for long.
constexpr base::Seconds kAskTimeout{10};
constexpr std::uint64_t kMaxHistoryBytes = 1U << 20U;
/// As libpq looks for the password of a walsender's connection.
constexpr const char* kReplicationDatabase = "replication";
constexpr const char* kDefaultPort = "5432";

std::string text_of(const WalPosition& position) {
  return fmt::format("{} on timeline {}", position.lsn.to_string(), position.timeline.value());
}

WitnessJudgement diverged(std::uint64_t bytes, std::string why) {
  return {WitnessState::kDiverged, bytes, std::move(why)};
}

/// Of this timeline, or none.
std::optional<pg::TimelineHistory> line_of(pg::TimelineId timeline,
                                           const std::optional<pg::TimelineHistory>& history) {
  if (history && history->timeline() == timeline) return history;
  return timeline.value() == 1 ? pg::TimelineHistory::parse(timeline, "") : std::nullopt;
}

/// Whether the one came the same way as the other until it ended there, or they are one.
bool is_ancestor_or_same(const pg::TimelineHistory& older, const pg::TimelineHistory& newer) {
  const auto& way = older.switches();
  if (newer.switches().size() < way.size() || !std::equal(way.begin(), way.end(), newer.switches().begin()))
    return false;
  return older.timeline() == newer.timeline() || newer.end_of(older.timeline()).has_value();
}

std::string beginning_of(const pg::TimelineHistory& line) {
  return line.begin_of(line.timeline()).value_or(pg::Lsn()).to_string();
}

/// What the two lines say, before any position counts; none where the older is part of the newer.
std::optional<std::string> why_not_one_line(const WalPosition& standby, const WalPosition& witness,
                                            const std::optional<pg::TimelineHistory>& own,
                                            const std::optional<pg::TimelineHistory>& its) {
  if (!own || !its) {
    return fmt::format("it is at {}, and where timeline {} comes from is not known {}", text_of(witness),
                       own ? witness.timeline.value() : standby.timeline.value(), own ? "there" : "here");
  }
  if (standby.timeline == witness.timeline) {
    if (own->switches() == its->switches()) return std::nullopt;
    return fmt::format("it is at {}, another timeline of that number: it began at {} there, and here at {}",
                       text_of(witness), beginning_of(*its), beginning_of(*own));
  }
  const bool is_older = witness.timeline < standby.timeline;
  if (is_ancestor_or_same(is_older ? *its : *own, is_older ? *own : *its)) return std::nullopt;
  return is_older
             ? fmt::format("it is at {}, which is not known to be a timeline that this standby comes from",
                           text_of(witness))
             : fmt::format("it is at {}, which is not known to come from timeline {} of this standby",
                           text_of(witness), standby.timeline.value());
}

bool demands_tls(const pg::Conninfo& conninfo) {
  const std::string mode = conninfo.get("sslmode").value_or("");
  return mode == "require" || mode == "verify-ca" || mode == "verify-full";
}

/// What names the primary, or belongs to it alone.
constexpr std::string_view kOfThePrimary[] = {
    "host",   "hostaddr", "port",   "dbname", "sslmode",     "channel_binding",      "sslrootcert",
    "sslcrl", "sslcert",  "sslkey", "sslsni", "requirepeer", "target_session_attrs", "passfile"};

std::string where_of(const pg::Conninfo& conninfo) {
  const auto host = conninfo.get("host");
  return fmt::format("{} port {}", host ? *host : conninfo.get("hostaddr").value_or(""),
                     conninfo.get("port").value_or(kDefaultPort));
}

struct Answer {
  client::SystemIdentity identity;
  std::optional<pg::TimelineHistory> history;  ///< of its timeline
};

Result<Answer> ask(const WitnessBefore& witness, const ReplicationLogin& login,
                   const StandbyToPromote& standby, const SetupEnvironment& environment) {
  const env::Wait wait = environment.wait_at_most(kAskTimeout);
  client::ConnectOptions options;
  for (const auto& [keyword, value] : witness.conninfo.pairs()) options.set(keyword, value);
  if (!witness.conninfo.get("passfile")) options.password = login.password;
  auto connection = TRY(client::ReplicationConnection::open(options, wait));
  Answer answer{.identity = TRY(connection.identify_system(wait)), .history = {}};
  if (answer.identity.system_id != standby.system_id) {
    return Error(ErrorCode::kPrecondition, fmt::format("it keeps the WAL of another cluster, {}",
                                                       answer.identity.system_id.to_string()));
  }
  if (answer.identity.timeline.value() > 1) {
    answer.history = pg::TimelineHistory::parse(
        answer.identity.timeline, TRY(connection.timeline_history(answer.identity.timeline, wait)));
  }
  return answer;
}

}  // namespace

std::string_view name_of(WitnessState state) {
  switch (state) {
    case WitnessState::kHasNoMore:
      return "has_no_more";
    case WitnessState::kIsAhead:
      return "ahead";
    case WitnessState::kDiverged:
      return "diverged";
    case WitnessState::kUnreachable:
      return "cannot_be_asked";
    case WitnessState::kGivenUp:
      return "given_up";
  }
  return "";
}

WitnessJudgement judge_witness(const WalPosition& standby, const WalPosition& witness,
                               const Histories& histories) {
  const auto own = line_of(standby.timeline, histories.standby);
  const auto its = line_of(witness.timeline, histories.witness);
  if (auto why = why_not_one_line(standby, witness, own, its)) return diverged(0, *std::move(why));
  if (witness.timeline < standby.timeline) {
    const pg::Lsn end = *own->end_of(witness.timeline);
    if (witness.lsn <= end) return {WitnessState::kHasNoMore, 0};
    const std::uint64_t beyond = witness.lsn.bytes_since(end);
    return diverged(beyond,
                    fmt::format("it is at {}, {} bytes beyond {}, where that timeline ended for this standby",
                                text_of(witness), beyond, end.to_string()));
  }
  if (witness.timeline > standby.timeline) {
    const pg::Lsn end = *its->end_of(standby.timeline);
    if (standby.lsn > end) {
      return diverged(0,
                      fmt::format("it is at {}, and its timeline left that of this standby at {}, before {}",
                                  text_of(witness), end.to_string(), standby.lsn.to_string()));
    }
    return {WitnessState::kIsAhead, witness.lsn.bytes_since(standby.lsn)};
  }
  if (witness.lsn <= standby.lsn) return {WitnessState::kHasNoMore, 0};
  return {WitnessState::kIsAhead, witness.lsn.bytes_since(standby.lsn)};
}

Result<ReplicationLogin> replication_login_of(const std::string& primary_conninfo, env::FileSystem& files) {
  ReplicationLogin login;
  login.conninfo = TRY(pg::Conninfo::parse(primary_conninfo));
  if (const auto password = login.conninfo.get("password")) {
    login.password = base::Secret(*password);
    login.conninfo.remove("password");
    return login;
  }
  const auto user = TRY(env::find_user(env::effective_user()));
  std::string path = login.conninfo.get("passfile").value_or("");
  if (path.empty() && user) path = user->home + "/.pgpass";
  // Who logs in without one needs none here either.
  if (path.empty() || !TRY(files.inspect_following(path))) return login;
  const std::string text =
      TRY(env::read_whole_file(files, TRY(files.real_path(path)), pg::kMaxPassfileBytes));
  std::string host = login.conninfo.get("host").value_or("");
  if (host.empty()) host = login.conninfo.get("hostaddr").value_or("");
  login.password = pg::find_password(pg::parse_passfile(text),
                                     {.host = host,
                                      .port = login.conninfo.get("port").value_or(kDefaultPort),
                                      .database = kReplicationDatabase,
                                      .user = login.conninfo.get("user").value_or(user ? user->name : "")});
  return login;
}

WitnessToAsk to_ask(const KnownWitness& witness) {
  return {.name = witness.name,
          .parameters = {{"host", witness.address}, {"port", std::to_string(witness.port)}}};
}

Result<WitnessToAsk> witness_by_hand(const std::string& conninfo) {
  WitnessToAsk witness;
  witness.parameters = TRY(client::parse_conninfo(conninfo));
  for (const auto& [keyword, value] : witness.parameters) {
    if (!pg::is_secret_keyword(keyword)) continue;
    return Error(ErrorCode::kUsage, fmt::format("--witness: {} does not belong on a command line", keyword),
                 "Leave it out: the standby's own replication login is taken; or name a passfile.");
  }
  const bool has_host =
      std::any_of(witness.parameters.begin(), witness.parameters.end(),
                  [](const auto& one) { return one.first == "host" || one.first == "hostaddr"; });
  if (!has_host) {
    return Error(ErrorCode::kUsage, "--witness names no host",
                 "Give a connection string: --witness \"host=10.20.20.3 port=5433\".");
  }
  return witness;
}

pg::Conninfo conninfo_towards(const ReplicationLogin& login, const WitnessToAsk& witness, pg::Version libpq) {
  pg::Conninfo conninfo = login.conninfo;
  for (const std::string_view keyword : kOfThePrimary) conninfo.remove(keyword);
  std::string host;
  for (const auto& [keyword, value] : witness.parameters) {
    conninfo.set(keyword, value);
    if (keyword == "host" || (keyword == "hostaddr" && host.empty())) host = value;
  }
  const auto address = pg::parse_standby_address(host);
  const bool stays_here = host.starts_with('/') || (address && is_loopback(address->cidr));
  if (!conninfo.get("sslmode")) {
    const bool over_tls = demands_tls(login.conninfo) && !stays_here;
    conninfo.set("sslmode", over_tls ? "require" : "prefer");
    if (over_tls && login.password && libpq.libpq_has_channel_binding())
      conninfo.set("channel_binding", "require");
  }
  if (!conninfo.get("connect_timeout")) conninfo.set("connect_timeout", "10");
  return conninfo;
}

std::string WitnessBefore::describe() const {
  if (name.empty() && where.empty()) return "what witnesses there are";
  if (name.empty()) return "the witness at " + where;
  return where.empty() ? fmt::format("witness \"{}\"", name)
                       : fmt::format("witness \"{}\" at {}", name, where);
}

Result<WitnessBefore> ask_witness(const WitnessToAsk& witness, const ReplicationLogin& login,
                                  const StandbyToPromote& standby, const SetupEnvironment& environment) {
  WitnessBefore before{.name = witness.name, .where = {}};
  before.parameters = witness.parameters;
  if (!witness.cannot_be_asked_because.empty()) {
    before.judgement.why = witness.cannot_be_asked_because;
    return before;
  }
  before.conninfo = conninfo_towards(login, witness, client::own_libpq_version());
  before.where = where_of(before.conninfo);
  const auto answer = ask(before, login, standby, environment);
  before.conninfo = conninfo_towards(login, witness, standby.version);
  if (environment.stop.is_set()) return env::cancelled_error();
  if (!answer) {
    before.judgement.why = answer.error().message;
    return before;
  }
  before.position = WalPosition{answer->identity.timeline, answer->identity.wal_position};
  before.history = answer->history;
  if (!standby.position) {
    before.judgement.why =
        fmt::format("it is at {}, and how far the standby is could not be asked", text_of(*before.position));
    return before;
  }
  before.judgement = judge_witness(
      *standby.position, *before.position,
      {.standby = history_on_disk(standby.data_directory, standby.position->timeline, environment.files),
       .witness = answer->history});
  return before;
}

std::optional<pg::TimelineHistory> history_on_disk(const std::string& data_directory, pg::TimelineId timeline,
                                                   env::FileSystem& files) {
  const auto folder = files.real_path(data_directory + "/pg_wal");
  if (!folder) return std::nullopt;
  const auto text = env::read_whole_file(files, fmt::format("{}/{:08X}.history", *folder, timeline.value()),
                                         kMaxHistoryBytes);
  return text ? pg::TimelineHistory::parse(timeline, *text) : std::nullopt;
}

namespace {

/// Those ahead whose WAL is not on the line of the one that is furthest.
std::vector<const WitnessBefore*> left_behind_by_the_furthest(const std::vector<WitnessBefore>& witnesses) {
  std::vector<const WitnessBefore*> behind;
  const WitnessBefore* furthest = furthest_ahead(witnesses);
  for (const WitnessBefore& witness : witnesses) {
    if (furthest == &witness || witness.judgement.state != WitnessState::kIsAhead) continue;
    const auto judged = judge_witness(*furthest->position, *witness.position,
                                      {.standby = furthest->history, .witness = witness.history});
    if (judged.state != WitnessState::kHasNoMore) behind.push_back(&witness);
  }
  return behind;
}

}  // namespace

std::optional<std::string> reason_to_refuse(const std::vector<WitnessBefore>& witnesses) {
  std::vector<std::string> reasons;
  for (const WitnessBefore& witness : witnesses) {
    const WitnessJudgement& judgement = witness.judgement;
    const bool is_silent = judgement.state == WitnessState::kUnreachable;
    if (!is_silent && judgement.state != WitnessState::kDiverged) continue;
    reasons.push_back(fmt::format("{} {}: {}", witness.describe(),
                                  is_silent ? "cannot be asked" : "has WAL that this standby cannot get",
                                  judgement.why));
  }
  for (const WitnessBefore* witness : left_behind_by_the_furthest(witnesses)) {
    const WitnessBefore* furthest = furthest_ahead(witnesses);
    reasons.push_back(
        fmt::format("{}, at {}, and {}, at {}, are on two lines, and the standby can follow one only",
                    furthest->describe(), text_of(*furthest->position), witness->describe(),
                    text_of(*witness->position)));
  }
  return reasons.empty() ? std::nullopt : std::optional(fmt::format("{}", fmt::join(reasons, "; ")));
}

std::string ways_out(const std::vector<WitnessBefore>& witnesses) {
  std::vector<std::string> silent, others, without;
  const auto note = [&](const WitnessBefore& witness, std::vector<std::string>& list) {
    list.push_back(witness.describe());
    if (!witness.name.empty()) without.push_back("--without-witness " + witness.name);
  };
  for (const WitnessBefore& witness : witnesses) {
    if (witness.judgement.state == WitnessState::kUnreachable) note(witness, silent);
    if (witness.judgement.state == WitnessState::kDiverged) note(witness, others);
  }
  for (const WitnessBefore* witness : left_behind_by_the_furthest(witnesses)) note(*witness, others);
  std::string text;
  if (!silent.empty()) {
    text += fmt::format("Start it, or let it be reached from here, and run this again: {}. ",
                        fmt::join(silent, ", "));
  }
  if (!others.empty())
    text += fmt::format("Keep what it has, and look into it: {}. ", fmt::join(others, ", "));
  if (!without.empty()) text += fmt::format("To do without it for good: {}. ", fmt::join(without, " "));
  return text + "To promote whatever may be lost: --accept-data-loss.";
}

const WitnessBefore* furthest_ahead(const std::vector<WitnessBefore>& witnesses) {
  const WitnessBefore* furthest = nullptr;
  for (const WitnessBefore& witness : witnesses) {
    if (witness.judgement.state != WitnessState::kIsAhead) continue;
    const auto key = [](const WitnessBefore& one) {
      return std::pair(one.position->timeline, one.position->lsn);
    };
    if (furthest == nullptr || key(*furthest) < key(witness)) furthest = &witness;
  }
  return furthest;
}

const WitnessBefore* one_that_moved(const std::vector<WitnessBefore>& before,
                                    const std::vector<WitnessBefore>& now) {
  for (const WitnessBefore& witness : now) {
    const auto then = std::find_if(before.begin(), before.end(), [&](const WitnessBefore& one) {
      return one.name == witness.name && one.where == witness.where;
    });
    if (then == before.end() || !then->position || !witness.position) continue;
    const auto key = [](const WitnessBefore& one) {
      return std::pair(one.position->timeline, one.position->lsn);
    };
    if (key(*then) < key(witness)) return &witness;
  }
  return nullptr;
}

}  // namespace standfast::setup
