#include "setup/witness_stream.h"

#include <utility>

#include <fmt/format.h>

#include "pg/format/conf_file.h"
#include "pg/format/passfile.h"
#include "pg/format/sql_text.h"
#include "setup/role_change.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kStatementTimeout{15};
constexpr base::Seconds kRestartTimeout{300};
constexpr base::Milliseconds kPoll{100};

constexpr const char* kConninfo = "primary_conninfo";
constexpr const char* kSlotName = "primary_slot_name";
constexpr const char* kApplyDelay = "recovery_min_apply_delay";
/// Who was killed in between has set all, or left primary_conninfo as the file of the store knows it.
constexpr const char* kConninfoFirst[] = {kConninfo, kSlotName, kApplyDelay};
constexpr const char* kConninfoLast[] = {kSlotName, kApplyDelay, kConninfo};
/// In the file of the store beside the settings as they were: what primary_conninfo is, and is to be.
constexpr const char* kPointedAt = "standfast.pointed_at";
constexpr const char* kPointedNext = "standfast.pointed_next";
constexpr std::string_view kBeforeSuffix = ".before";
constexpr std::string_view kPassfileSuffix = ".pgpass";

/// Two standbys of one cluster on one host have two ports.
std::string name_with_port(const std::string& port, std::string_view suffix) {
  return fmt::format("promote-{}{}", port, suffix);
}

}  // namespace

std::optional<std::string> leftover_of_promotion(pg::SystemId system_id, const std::string& port,
                                                 env::FileSystem& files) {
  const auto store = client::SecretStore::locate(files);
  if (!store) return std::nullopt;
  const std::string path = store->path_of(system_id, name_with_port(port, kBeforeSuffix));
  const auto found = files.inspect_following(path);
  return found && *found ? std::optional(path) : std::nullopt;
}

std::string describe_leftover(const std::string& path) {
  return fmt::format(
      "a promotion is under way or was broken off, and primary_conninfo may point at a witness; \"standfast "
      "standby promote\" goes on, or set it back as \"{}\" has it",
      path);
}

WitnessStream::WitnessStream(Standby& standby, const StandbyOptions& options, const ServerFacts& facts,
                             const client::SecretStore& store, const SetupEnvironment& environment)
    : standby_(standby),
      options_(options),
      store_(store),
      environment_(environment),
      system_id_(facts.system_id),
      version_(facts.version),
      port_(facts.port),
      is_delayed_(facts.apply_delay.count() > 0) {}

std::string WitnessStream::file_name(std::string_view suffix) const {
  return name_with_port(port_, suffix);
}

std::string WitnessStream::path_of_settings_before() const {
  return store_.path_of(system_id_, file_name(kBeforeSuffix));
}

Result<WitnessStream::Settings> WitnessStream::settings_of_file() const {
  const std::string path = standby_.cluster.data_directory() + "/postgresql.auto.conf";
  std::string text;
  if (TRY(environment_.files.inspect_following(path))) {
    text = TRY(env::read_whole_file(environment_.files, TRY(environment_.files.real_path(path)),
                                    pg::kMaxConfFileBytes));
  }
  const auto conf = TRY(pg::ConfFile::parse(text));
  Settings settings;
  for (const char* name : kConninfoFirst) settings[name] = conf.get(name);
  return settings;
}

/// Before anything is changed, and again before primary_conninfo is pointed elsewhere.
Result<void> WitnessStream::keep(const std::optional<std::string>& conninfo_now,
                                 const std::optional<std::string>& conninfo_next) {
  const Settings before = before_ ? *before_ : TRY(settings_of_file());
  pg::ConfFile conf;
  for (const auto& [name, value] : before) {
    if (value) conf.set(name, *value);
  }
  if (conninfo_now) conf.set(kPointedAt, *conninfo_now);
  if (conninfo_next) conf.set(kPointedNext, *conninfo_next);
  TRY(store_.write(system_id_, file_name(kBeforeSuffix), base::Secret(conf.to_text())));
  before_ = before;
  return base::ok();
}

Result<void> WitnessStream::forget() const {
  TRY(store_.remove(system_id_, file_name(kBeforeSuffix)));
  return store_.remove(system_id_, file_name(kPassfileSuffix));
}

Result<void> WitnessStream::set(client::Connection& connection, const Settings& settings, Order order,
                                TakeUp take) const {
  const env::Wait wait = env::Wait::for_at_most(kStatementTimeout);
  // What is put back may hold a password, as pg_basebackup -R writes one.
  TRY(quiet_session(connection, wait));
  for (const char* name : order) {
    const auto setting = settings.find(name);
    if (setting == settings.end()) continue;
    const std::string sql =
        setting->second ? fmt::format("ALTER SYSTEM SET {} = {}", name, pg::quote_literal(*setting->second))
                        : fmt::format("ALTER SYSTEM RESET {}", name);
    TRY(connection.execute_secret(base::Secret(sql), fmt::format("ALTER SYSTEM SET {}", name), wait));
  }
  if (take == TakeUp::kNow) return take_up(connection);
  TRY(connection.query("SELECT pg_reload_conf()", wait));
  return base::ok();
}

Result<void> WitnessStream::take_up(client::Connection& connection) const {
  if (version_.primary_conninfo_reloads()) {
    TRY(connection.query("SELECT pg_reload_conf()", env::Wait::for_at_most(kStatementTimeout)));
    return base::ok();
  }
  connection.close();
  environment_.reporter.info(fmt::format(
      "the standby restarts: PostgreSQL {} takes primary_conninfo up at a start only", version_.major()));
  TRY(standby_.control.restart(env::Wait::for_at_most(kRestartTimeout)));
  connection = TRY(connect_to(standby_.cluster, options_, env::Wait::for_at_most(kStatementTimeout)));
  return base::ok();
}

Result<bool> WitnessStream::put_back_leftover(client::Connection& connection) {
  const auto text = TRY(store_.read(system_id_, file_name(kBeforeSuffix)));
  if (!text) return false;
  const auto conf = TRY(pg::ConfFile::parse(text->reveal()));
  const Settings now = TRY(settings_of_file());
  const auto conninfo = now.at(kConninfo);
  // Else it is of another standby that had this port once, or was put right by hand meanwhile.
  const auto next = conf.get(kPointedNext);
  const bool is_ours = conninfo == conf.get(kPointedAt) || (next && conninfo == next);
  if (is_ours) {
    Settings before;
    for (const auto& [name, value] : now) before[name] = conf.get(name);
    TRY(set(connection, before, kConninfoLast, TakeUp::kNow));
  }
  TRY(forget());
  return is_ours;
}

Result<void> WitnessStream::lift_delay(client::Connection& connection) {
  const auto conninfo = TRY(settings_of_file()).at(kConninfo);
  TRY(keep(conninfo, std::nullopt));
  const env::Wait wait = env::Wait::for_at_most(kStatementTimeout);
  TRY(connection.execute(fmt::format("ALTER SYSTEM SET {} = 0", kApplyDelay), wait));
  TRY(connection.query("SELECT pg_reload_conf()", wait));
  return base::ok();
}

Result<ServerFacts> WitnessStream::catch_up(const WitnessBefore& witness, const ReplicationLogin& login,
                                            client::Connection& connection) {
  pg::Conninfo conninfo = witness.conninfo;
  if (login.password && !conninfo.get("passfile")) {
    const auto line = TRY(pg::render_passfile_line(
        {conninfo.get("host"), conninfo.get("port"), std::nullopt, conninfo.get("user"), *login.password}));
    TRY(store_.write(system_id_, file_name(kPassfileSuffix), base::Secret(line.reveal() + "\n")));
    conninfo.set("passfile", store_.path_of(system_id_, file_name(kPassfileSuffix)));
  }
  const std::string target = conninfo.to_string();
  if (target != pointed_at_) {
    TRY(keep(TRY(settings_of_file()).at(kConninfo), target));
    // The slot is one of the primary's. A delayed replay would ask for no WAL before it gets there.
    Settings settings = {{kConninfo, target}, {kSlotName, ""}};
    if (is_delayed_) settings[kApplyDelay] = "0";
    TRY(set(connection, settings, kConninfoFirst, TakeUp::kNow));
    pointed_at_ = target;
  }
  return wait_until_reached(*witness.position, connection);
}

Result<ServerFacts> WitnessStream::wait_until_reached(const WalPosition& target,
                                                      client::Connection& connection) const {
  auto patience = environment_.wait_at_most(options_.timeout);
  std::pair<pg::Lsn, pg::Lsn> furthest;
  while (true) {
    ServerFacts facts = TRY(read_server_facts(connection, environment_.wait_at_most(kStatementTimeout)));
    const bool is_there = facts.timeline && *facts.timeline >= target.timeline && facts.head >= target.lsn;
    if (is_there) return facts;
    // From 13 on it asks for more only once it has replayed what it has.
    const std::pair now(facts.head, facts.replay.value_or(pg::Lsn()));
    if (now != furthest) {
      furthest = now;
      patience = environment_.wait_at_most(options_.timeout);
    }
    if (patience.deadline.passed()) {
      return Error(
          ErrorCode::kTimeout,
          fmt::format("the standby has received up to {} and replayed up to {}, and nothing has moved "
                      "for {}",
                      now.first.to_string(), now.second.to_string(), base::format_duration(options_.timeout)),
          (now.second < now.first ? "It asks for more once it has replayed what it has: -t SECONDS gives "
                                    "it more time. "
                                  : "") +
              ("Its log says why: " + standby_.control.log_tail()));
    }
    if (env::wait_for(-1, 0, environment_.wait_at_most(kPoll)) == env::Ready::kStopped)
      return env::cancelled_error();
  }
}

Result<void> WitnessStream::put_back(client::Connection& connection, TakeUp take) {
  if (!before_) return base::ok();
  TRY(set(connection, *before_, kConninfoLast, take));
  TRY(forget());
  before_.reset();
  pointed_at_.clear();
  return base::ok();
}

}  // namespace standfast::setup
