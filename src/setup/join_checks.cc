#include "setup/join_checks.h"

#include <charconv>

#include <fmt/format.h>
#include <sys/utsname.h>

#include "base/bytes.h"
#include "base/time.h"
#include "clone/journal.h"
#include "env/network.h"
#include "env/process.h"
#include "setup/collations.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

template <typename T>
std::optional<T> to_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "PostgreSQL 15.18 (Debian ...) on x86_64-pc-linux-gnu, compiled by ..." gives "x86_64".
std::string machine_of(std::string_view version_text) {
  const std::size_t on = version_text.find(" on ");
  if (on == std::string_view::npos) return "";
  const std::string_view rest = version_text.substr(on + 4);
  return std::string(rest.substr(0, rest.find_first_of("-, ")));
}

Result<std::uint64_t> number_value(client::Connection& connection, const std::string& sql,
                                   const env::Wait& wait) {
  const std::string text = TRY(connection.query_value(sql, wait));
  const auto number = to_number<std::uint64_t>(text);
  if (!number)
    return Error(ErrorCode::kProtocol,
                 "the primary answered with \"" + text + "\" where a number was expected");
  return *number;
}

Result<void> read_settings(client::Connection& monitor, PrimaryFacts& facts, const env::Wait& wait) {
  const auto rows = TRY(monitor.query(
      "SELECT name, setting, coalesce(sourcefile, '') AS sourcefile FROM pg_settings WHERE name IN ('port', "
      "'max_connections', "
      "'max_worker_processes', 'max_wal_senders', 'max_prepared_transactions', 'max_locks_per_transaction')",
      wait));
  for (int row = 0; row < rows.count(); ++row) {
    const std::string name(rows.text(row, 0));
    const auto value = to_number<std::int64_t>(rows.text(row, 1));
    if (!value) continue;
    if (name == "port") {
      facts.configured_port = static_cast<std::uint16_t>(*value);
      facts.port_is_by_alter_system = rows.text(row, 2).ends_with("/postgresql.auto.conf");
    } else {
      facts.settings[name] = *value;
    }
  }
  return base::ok();
}

Result<BuildFacts> read_build(client::Connection& server, const env::Wait& wait) {
  const auto rows = TRY(server.query(
      "SELECT database_block_size, wal_block_size, blocks_per_segment, float8_pass_by_value FROM "
      "pg_control_init()",
      wait));
  BuildFacts build;
  if (rows.count() == 0) return build;
  build.block_bytes = to_number<std::uint64_t>(rows.text(0, 0));
  build.wal_block_bytes = to_number<std::uint64_t>(rows.text(0, 1));
  build.segment_blocks = to_number<std::uint64_t>(rows.text(0, 2));
  build.float8_by_value = rows.text(0, 3) == "t";
  return build;
}

/// What the postgres program says of itself. It needs no data directory for that, only to be named one.
BuildFacts build_of(const server::Installation& installation, const env::Wait& wait) {
  const auto value = [&](const char* name) -> std::optional<std::uint64_t> {
    env::Command command;
    command.argv = {installation.program("postgres"), "-D", "/", "-c", "config_file=/dev/null", "-C", name};
    command.environment = env::ChildEnvironment::kWithoutPostgres;
    const auto said = env::run_command(command, wait);
    if (!said || said->exit_code != 0) return std::nullopt;
    return to_number<std::uint64_t>(std::string_view(said->output).substr(0, said->output.find('\n')));
  };
  BuildFacts build;
  build.block_bytes = value("block_size");
  build.wal_block_bytes = value("wal_block_size");
  build.segment_blocks = value("segment_size");
  if (installation.version.float8_is_always_by_value())
    build.float8_by_value = sizeof(void*) == sizeof(double);
  return build;
}

Result<std::string> upstream_of(client::Connection& standby, const env::Wait& wait) {
  const auto rows = TRY(standby.query(
      "SELECT sender_host, sender_port FROM pg_stat_wal_receiver WHERE sender_host IS NOT NULL", wait));
  if (rows.count() == 0) return std::string();
  return fmt::format("{} port {}", rows.text(0, 0), rows.text(0, 1));
}

}  // namespace

Result<PrimaryFacts> look_at_primary(client::Connection& monitor, const std::string& slot,
                                     const env::Wait& wait) {
  PrimaryFacts facts;
  facts.version = monitor.server_version();
  if (!facts.version.is_supported()) {
    return Error(ErrorCode::kVersion, fmt::format("the server runs PostgreSQL {}", facts.version.to_string()),
                 fmt::format("PostgreSQL {} to {} are supported.", pg::Version::kOldestMajor,
                             pg::Version::kNewestMajor));
  }
  const auto system_id = pg::SystemId::parse(
      TRY(monitor.query_value("SELECT system_identifier FROM pg_control_system()", wait)));
  if (!system_id) return Error(ErrorCode::kProtocol, "the primary's system identifier is not a number");
  facts.system_id = *system_id;
  facts.in_recovery = TRY(monitor.query_value("SELECT pg_is_in_recovery()", wait)) == "t";
  if (facts.in_recovery) facts.upstream = TRY(upstream_of(monitor, wait));
  facts.machine = machine_of(TRY(monitor.query_value("SELECT version()", wait)));
  facts.build = TRY(read_build(monitor, wait));
  facts.collations = TRY(read_collations(monitor, wait));
  TRY(read_settings(monitor, facts, wait));
  facts.preload_libraries = split_preload_libraries(
      TRY(monitor.query_value("SELECT current_setting('shared_preload_libraries')", wait)));
  // As bytes: a path need not be text of any encoding.
  const auto spaces = TRY(monitor.query(
      "SELECT oid, encode(replace(pg_tablespace_location(oid), '\\', '\\\\')::bytea, 'hex') FROM "
      "pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY oid",
      wait));
  for (int row = 0; row < spaces.count(); ++row) {
    const auto location = base::from_hex(spaces.text(row, 1));
    if (!location) return Error(ErrorCode::kProtocol, "the server does not tell where its tablespaces are");
    facts.tablespaces.push_back({std::string(spaces.text(row, 0)), *location});
  }
  facts.data_bytes = TRY(number_value(
      monitor, "SELECT pg_tablespace_size('pg_default') + pg_tablespace_size('pg_global')", wait));
  const std::optional<std::string> parameters[] = {slot};
  const std::string lost =
      facts.version.has_max_slot_wal_keep_size() ? "coalesce(wal_status = 'lost', false)" : "false";
  const auto slots = TRY(monitor.query(
      "SELECT active, " + lost + " FROM pg_replication_slots WHERE slot_name = $1", parameters, wait));
  facts.slot_exists = slots.count() > 0;
  facts.slot_is_active = facts.slot_exists && slots.text(0, 0) == "t";
  facts.slot_is_lost = facts.slot_exists && slots.text(0, 1) == "t";
  return facts;
}

Result<HostFacts> look_at_host(env::FileSystem& files, const server::Installation& installation,
                               const PrimaryFacts& primary, const HostQuestion& question,
                               const env::Wait& wait) {
  HostFacts facts;
  facts.build = build_of(installation, wait);
  facts.collations = collations_of_host(files, installation, wait);
  facts.version = installation.version;
  utsname system{};
  if (uname(&system) == 0) facts.machine = system.machine;
  for (const std::string& library : primary.preload_libraries) {
    std::string path = library;
    constexpr std::string_view kLibdir = "$libdir/";
    if (path.starts_with(kLibdir)) path = path.substr(kLibdir.size());
    if (!path.starts_with('/')) path = installation.library_directory + "/" + path;
    const bool there = TRY(files.inspect_following(path)).has_value() ||
                       TRY(files.inspect_following(path + ".so")).has_value();
    if (!there) facts.missing_libraries.push_back(library);
  }
  // Its folders are in the way of nobody: the clone knows them by its journal and takes them away.
  const bool has_leftovers = TRY(clone::read_stale_journal(files, question.target)).has_value();
  for (const Tablespace& space : primary.tablespaces) {
    if (has_leftovers) break;
    std::string location = space.location;
    for (const auto& [from, to] : question.tablespace_mappings) {
      if (from == space.location) location = to;
    }
    const auto judged = clone::inspect_outside_folder(
        files, {location, question.target, "tablespace " + space.oid}, question.old_links);
    if (!judged) facts.unfit_tablespaces.push_back(judged.error());
  }
  facts.disk_of = question.made_in;
  while (facts.disk_of != "/" && !TRY(files.inspect_following(facts.disk_of)))
    facts.disk_of = env::parent_of(facts.disk_of);
  if (!has_leftovers) facts.available_bytes = TRY(files.space(facts.disk_of)).available_bytes;
  if (question.port != 0 && !question.port_is_this_clusters && !env::is_port_free(question.port))
    facts.taken_port = question.port;
  return facts;
}

std::optional<Error> slot_error(const PrimaryFacts& primary, const std::string& slot) {
  if (!primary.slot_exists) {
    return Error(ErrorCode::kSlot, fmt::format("the primary has no replication slot \"{}\"", slot),
                 "Run \"standfast primary setup\" on the primary again: it makes the slot anew.");
  }
  if (primary.slot_is_lost) {
    return Error(
        ErrorCode::kSlot,
        fmt::format("the replication slot \"{}\" has lost WAL and can never be used again", slot),
        "Run \"standfast primary setup\" on the primary again: it makes the slot anew. A standby that "
        "used it must be copied again: run this with --replace.");
  }
  return std::nullopt;
}

std::vector<Error> what_does_not_fit(const PrimaryFacts& primary, const HostFacts& host,
                                     const JoinQuestion& question) {
  const pg::SystemId expected = question.expected;
  const std::string& slot = question.slot;
  std::vector<Error> found;
  const auto add = [&found](ErrorCode code, std::string message, std::string hint) {
    found.emplace_back(code, std::move(message), std::move(hint));
  };
  if (primary.system_id != expected) {
    add(ErrorCode::kPrecondition,
        fmt::format("the server at that address is not the one the token was made on: its system identifier "
                    "is {}, the token's is {}",
                    primary.system_id.to_string(), expected.to_string()),
        "Run \"standfast primary setup\" on the primary again and use the token it gives.");
  }
  if (primary.in_recovery && question.from_standby == clone::FromStandby::kNotSaid) {
    add(ErrorCode::kPrecondition,
        fmt::format("the server at that address is itself a standby{}{}",
                    primary.upstream.empty() ? "" : ", of ", primary.upstream),
        "Add --from-standby if this one is to follow that standby. If not, run \"standfast primary setup\" "
        "on "
        "the server that is the primary now, and join with its token.");
  }
  for (const PairingFinding& finding : judge_pairing(primary, host)) {
    if (finding.severity == PairingSeverity::kRefuse) add(ErrorCode::kVersion, finding.message, finding.hint);
  }
  for (const std::string& library : host.missing_libraries) {
    add(ErrorCode::kPrecondition,
        fmt::format("the primary preloads the library \"{}\", which this host does not have", library),
        "Install the package of that extension here; without it the standby does not start.");
  }
  found.insert(found.end(), host.unfit_tablespaces.begin(), host.unfit_tablespaces.end());
  if (host.available_bytes && primary.data_bytes > *host.available_bytes) {
    add(ErrorCode::kDiskFull,
        fmt::format("the copy needs about {}, and the disk of \"{}\" has {} free",
                    base::format_bytes(primary.data_bytes), host.disk_of,
                    base::format_bytes(*host.available_bytes)),
        "Free some room, or choose a data directory on a larger disk.");
  }
  if (host.taken_port) {
    add(ErrorCode::kInUse, fmt::format("port {} is taken on this host", *host.taken_port),
        "Stop the server that listens there, or give the standby another port with --port.");
  }
  if (auto error = slot_error(primary, slot)) {
    found.push_back(*std::move(error));
  } else if (primary.slot_is_active) {
    add(ErrorCode::kSlot, fmt::format("the replication slot \"{}\" is in use by another standby", slot),
        "Each standby needs its own: run \"standfast primary setup --standby ADDRESS\" for this host and use "
        "the token it gives.");
  }
  return found;
}

}  // namespace standfast::setup
