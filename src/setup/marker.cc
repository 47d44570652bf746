#include "setup/marker.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <random>

#include <fmt/format.h>

#include "pg/format/sql_text.h"
#include "setup/marker_table.h"
#include "setup/names.h"
#include "setup/server_facts.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

const std::string kMarker = fmt::format("{}.{}", kMarkerSchema, kMarkerTable);
/// The first half of the advisory locks' key: "SfMk". The second is the row's id.
constexpr int kLockClass = 0x53664D6B;
/// The lock of the one run at a time that may have a replica_demo: "SfDb", and no second half.
constexpr int kDatabaseLockClass = 0x53664462;
/// A killed run's session ends when the server has finished what it was told, which may be a whole copy.
constexpr base::Seconds kLockWait{10};
constexpr base::Milliseconds kLockPoll{100};
constexpr base::Seconds kStatementTimeout{60};
/// The connection limit that marks our replica_demo.
constexpr int kDatabaseMark = 20618;
constexpr std::string_view kCommentPrefix = "standfast verify ";
constexpr const char* kUndefinedTable = "42P01";
constexpr const char* kDuplicateDatabase = "42P04";
constexpr const char* kUniqueViolation = "23505";  // the same, by a CREATE DATABASE that ran at the same time

std::string new_token() {
  std::random_device device;
  std::string token(kCommentPrefix);
  for (int i = 0; i < 4; ++i) token += fmt::format("{:08x}", device());
  return token;
}

/// A lock that is not free, or a standby that must confirm a commit and is gone, fails instead of waiting.
Result<void> bound_the_session(client::Connection& primary, const env::Wait& wait) {
  return primary.execute(
      fmt::format("SET statement_timeout = '{}s'; SET lock_timeout = '10s'; SET synchronous_commit = local; "
                  "SET default_transaction_read_only = off; SET search_path = pg_catalog",
                  kStatementTimeout.count()),
      wait);
}

Result<Written> committed_now(client::Connection& primary, const env::Wait& wait) {
  const auto committed = base::Clock::now();
  const std::string text = TRY(primary.query_value("SELECT pg_current_wal_flush_lsn()", wait));
  const std::optional<pg::Lsn> lsn = pg::Lsn::parse(text);
  if (!lsn) return Error(ErrorCode::kProtocol, "the primary does not tell its WAL position");
  return Written{.lsn = *lsn, .committed = committed};
}

Error foreign_database() {
  return {
      ErrorCode::kPrecondition,
      fmt::format("a database \"{}\" is there already, and is not of an earlier verify", ReplicaDemo::kName),
      "It stays untouched. Verify without --create-database, or drop or rename it if it is not needed."};
}

/// A superuser uses the table only if no other role can have put code behind it, and makes it where it is
/// missing.
Result<void> check_table(client::Connection& primary, const env::Wait& wait) {
  if (TRY(has_marker_table(primary, wait))) return base::ok();
  const client::Rows superuser =
      TRY(primary.query("SELECT 1 FROM pg_roles WHERE rolname = current_user AND rolsuper", wait));
  if (superuser.count() > 0) return make_marker_table(primary, wait);
  return Error(
      ErrorCode::kPrecondition,
      fmt::format("the primary has no table \"{}.{}\" to write a marker to", kMarkerSchema, kMarkerTable),
      "Run \"standfast primary setup\" on the primary again: it makes the table anew.");
}

/// The row's id as the second half of a lock's key. Rows are few and live for seconds: a wrap is harmless.
std::string lock_key(std::string_view id) {
  return fmt::format("{}, ({} & 2147483647)::int", kLockClass, id);
}

/// A wait for a synchronous standby that is cancelled is no error but a WARNING (replication/syncrep.c,
/// SyncRepWaitForLSN()), and a marker has no other one to give. It comes in the server's language, so what it
/// says is not looked at.
std::ptrdiff_t warnings_of(const client::Connection& connection) {
  const auto& notices = connection.notices();
  return std::count_if(notices.begin(), notices.end(),
                       [](const client::Notice& notice) { return notice.is_warning; });
}

}  // namespace

// ---------------------------------------------------------------- the row

Result<Marker> Marker::prepare(client::Connection& primary, const env::Wait& wait) {
  Marker marker(primary);
  TRY(bound_the_session(primary, wait));
  TRY(check_table(primary, wait));
  // The lock of a run that still lives is not free, so its row stays. A lock taken here ends with this
  // statement's transaction.
  const client::Rows removed = TRY(primary.query(
      fmt::format("DELETE FROM {0} WHERE id IN (SELECT id FROM (SELECT id FROM {0} OFFSET 0) AS rows "
                  "WHERE pg_try_advisory_xact_lock({1})) RETURNING id",
                  kMarker, lock_key("id")),
      wait));
  marker.leftovers_removed_ = removed.count();
  return marker;
}

Result<Written> Marker::write(const env::Wait& wait) {
  token_ = new_token();
  // statement_timeout ends before a transaction does (tcop/postgres.c, finish_xact_command()), but for a
  // COMMIT inside of a statement. The lock is taken before the row can be seen, so that no other run takes it
  // for a leftover.
  const std::string sql = fmt::format(
      "DO $do$ DECLARE new_id bigint; BEGIN SET LOCAL synchronous_commit = on; "
      "INSERT INTO {} (token) VALUES ({}) RETURNING id INTO new_id; "
      "PERFORM pg_advisory_lock({}); COMMIT; END $do$",
      kMarker, pg::quote_literal(token_), lock_key("new_id"));
  TRY(primary_->execute(fmt::format("SET statement_timeout = '{}s'", kCommitTimeout.count()), wait));
  const auto warnings_before = warnings_of(*primary_);
  const base::Stopwatch watch;
  TRY(primary_->execute(sql, wait));
  const auto commit_time = watch.elapsed();
  TRY(primary_->execute(fmt::format("SET statement_timeout = '{}s'", kStatementTimeout.count()), wait));
  Written written = TRY(committed_now(*primary_, wait));
  written.commit_time = commit_time;
  written.is_acknowledged = warnings_of(*primary_) == warnings_before;
  return written;
}

Result<void> Marker::remove(const env::Wait& wait) {
  const std::array<std::optional<std::string>, 1> parameters{token_};
  TRY(primary_->query(fmt::format("DELETE FROM {0} WHERE token = $1", kMarker), parameters, wait));
  return base::ok();
}

Result<bool> Marker::is_seen_by(client::Connection& standby, const env::Wait& wait) const {
  // A standby replays what the monitor role made as well, and is asked by a superuser too.
  TRY(pin_search_path(standby, wait));
  if (!TRY(has_marker_table(standby, wait))) return false;
  const std::array<std::optional<std::string>, 1> parameters{token_};
  const auto rows =
      standby.query(fmt::format("SELECT 1 FROM {0} WHERE token = $1", kMarker), parameters, wait);
  if (rows) return rows->count() > 0;
  if (rows.error().sqlstate == kUndefinedTable) return false;
  return rows.error();
}

// ---------------------------------------------------------------- the database

Result<ReplicaDemo> ReplicaDemo::prepare(client::Connection& primary, const env::Wait& wait) {
  ReplicaDemo demo(primary);
  TRY(bound_the_session(primary, wait));
  const client::Rows role = TRY(primary.query(
      "SELECT rolname FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolcreatedb)", wait));
  if (role.count() == 0) {
    return Error(
        ErrorCode::kPermission,
        fmt::format("role \"{}\" may not create databases on the primary", primary.user()),
        "Run this on the primary as the owner of its data directory, or give the primary with -d and a role "
        "that has CREATEDB.");
  }
  TRY(demo.hold_lock(wait));
  const Found found = TRY(demo.look(wait));
  if (found == Found::kForeign) return foreign_database();
  demo.leftover_removed_ = found != Found::kNothing;
  TRY(demo.drop(wait));
  return demo;
}

/// Also where it is held already: a connection that broke and was opened again has lost it.
Result<void> ReplicaDemo::hold_lock(const env::Wait& wait) {
  const auto deadline = base::Deadline::after(kLockWait);
  while (!TRY(try_lock(wait))) {
    if (deadline.passed()) {
      return Error(ErrorCode::kInUse,
                   fmt::format("another \"verify --create-database\" uses the database {} just now", kName),
                   "Wait until it has ended, or verify without --create-database.");
    }
    env::wait_for(-1, 0, env::Wait::for_at_most(kLockPoll, wait.stop));
    if (wait.stopped()) return env::cancelled_error();
  }
  return base::ok();
}

/// An advisory lock is of one database, and the other run may be connected to another one; but pg_locks shows
/// those of all. Two that take theirs at the same moment both see each other and both let go.
Result<bool> ReplicaDemo::try_lock(const env::Wait& wait) {
  const std::string holders = fmt::format(
      "SELECT pid = pg_backend_pid() AS is_ours FROM pg_locks WHERE locktype = 'advisory' AND granted AND "
      "classid = {} AND objid = 0 AND objsubid = 2 ORDER BY 1 DESC",
      kDatabaseLockClass);
  const client::Rows before = TRY(primary_->query(holders, wait));
  if (before.count() > 0) return before.text(0, 0) == "t";
  const std::string taken =
      TRY(primary_->query_value(fmt::format("SELECT pg_try_advisory_lock({}, 0)", kDatabaseLockClass), wait));
  if (taken != "t") return false;
  if (TRY(primary_->query(holders, wait)).count() == 1) return true;
  TRY(primary_->query(fmt::format("SELECT pg_advisory_unlock({}, 0)", kDatabaseLockClass), wait));
  return false;
}

Result<ReplicaDemo::Found> ReplicaDemo::look(const env::Wait& wait) {
  const client::Rows rows = TRY(primary_->query(
      fmt::format("SELECT datconnlimit, shobj_description(oid, 'pg_database') AS comment FROM pg_database "
                  "WHERE datname = '{}'",
                  kName),
      wait));
  if (rows.count() == 0) return Found::kNothing;
  const std::optional<std::string> comment = rows.get(0, "comment");
  if (comment.value_or("").starts_with(kCommentPrefix)) return Found::kOurs;
  const bool was_cut_short = !comment && integer_of(rows, 0, "datconnlimit") == kDatabaseMark;
  return was_cut_short ? Found::kOursWithoutComment : Found::kForeign;
}

Result<Written> ReplicaDemo::create(const env::Wait& wait) {
  TRY(hold_lock(wait));
  const std::string sql = fmt::format("CREATE DATABASE {} CONNECTION LIMIT {}", kName, kDatabaseMark);
  Result<void> created = primary_->execute(sql, wait);
  if (!created &&
      (created.error().sqlstate == kDuplicateDatabase || created.error().sqlstate == kUniqueViolation)) {
    // Of a run that was killed a moment ago: the server has only now finished what it was told.
    TRY(drop(wait));
    created = primary_->execute(sql, wait);
  }
  if (!created) return std::move(created).error();
  auto written = TRY(committed_now(*primary_, wait));
  TRY(comment(wait));
  return written;
}

Result<void> ReplicaDemo::comment(const env::Wait& wait) {
  return primary_->execute(fmt::format("COMMENT ON DATABASE {} IS {}", kName, pg::quote_literal(new_token())),
                           wait);
}

Result<void> ReplicaDemo::drop(const env::Wait& wait) {
  TRY(hold_lock(wait));
  switch (TRY(look(wait))) {
    case Found::kNothing:
      return base::ok();
    case Found::kForeign:
      return foreign_database();
    case Found::kOursWithoutComment:
      // A drop that is cut short leaves a database that cannot be used and has lost its limit: the comment is
      // what remains to know it by.
      TRY(comment(wait));
      break;
    case Found::kOurs:
      break;
  }
  return primary_->execute(fmt::format("DROP DATABASE IF EXISTS {}", kName), wait);
}

Result<bool> ReplicaDemo::is_seen_by(client::Connection& standby, const env::Wait& wait) {
  const client::Rows rows =
      TRY(standby.query(fmt::format("SELECT 1 FROM pg_database WHERE datname = '{}'", kName), wait));
  return rows.count() > 0;
}

}  // namespace standfast::setup
