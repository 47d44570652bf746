#include "setup/unfinished_slot.h"

#include <algorithm>

#include <fmt/format.h>

#include "pg/client/replication_connection.h"
#include "pg/format/sql_text.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kTimeout(10);
constexpr const char* kMaintenanceDatabase = "postgres";

std::uint64_t held_between(pg::Lsn restart, pg::Lsn head) {
  return restart.is_valid() && head > restart ? head.bytes_since(restart) : 0;
}

Error no_such_slot() {
  return {ErrorCode::kSlot, "it is not there"};
}

/// No value: none of them is its source.
std::optional<Result<std::uint64_t>> held_as_told(const clone::Unfinished& copy,
                                                  const std::vector<ServerFacts>& asked) {
  for (const ServerFacts& server : asked) {
    if (server.system_id != copy.system_id) continue;
    const auto slot = std::find_if(server.slots.begin(), server.slots.end(),
                                   [&](const Slot& some) { return some.name == copy.slot; });
    if (slot == server.slots.end()) continue;
    if (slot->is_lost()) return Result<std::uint64_t>(Error(ErrorCode::kSlot, "it has lost its WAL"));
    return Result<std::uint64_t>(held_between(slot->restart_lsn.value_or(pg::Lsn()), server.head));
  }
  return std::nullopt;
}

/// READ_REPLICATION_SLOT is younger than slots are.
Result<std::uint64_t> held_by_statement(client::ConnectOptions options, const std::string& slot, pg::Lsn head,
                                        const env::Wait& wait) {
  options.set("dbname", kMaintenanceDatabase);
  auto connection = TRY(client::Connection::open(options, wait));
  const client::Rows rows =
      TRY(connection.query(fmt::format("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = {}",
                                       pg::quote_literal(slot)),
                           wait));
  if (rows.count() == 0) return no_such_slot();
  return held_between(lsn_of(rows, 0, "restart_lsn").value_or(pg::Lsn()), head);
}

Result<std::uint64_t> held_at_source(const clone::Unfinished& copy, const env::Wait& wait) {
  client::ConnectOptions options;
  options.parameters = TRY(client::parse_conninfo(*copy.source));
  auto connection = TRY(client::ReplicationConnection::open(options, wait));
  const auto identity = TRY(connection.identify_system(wait));
  if (identity.system_id != copy.system_id)
    return Error(ErrorCode::kPrecondition, "another cluster answers there");
  if (!connection.server_version().has_read_replication_slot())
    return held_by_statement(options, *copy.slot, identity.wal_position, wait);
  const auto slot = TRY(connection.read_slot(*copy.slot, wait));
  if (!slot) return no_such_slot();
  return held_between(slot->restart, identity.wal_position);
}

}  // namespace

UnfinishedCopy with_its_slot(clone::Unfinished unfinished, const std::vector<ServerFacts>& asked,
                             const SetupEnvironment& environment) {
  UnfinishedCopy copy{.facts = std::move(unfinished)};
  if (!copy.facts.slot) return copy;
  auto held = held_as_told(copy.facts, asked);
  if (!held && !copy.facts.source) {
    copy.why_not_known = "how its source is reached was not noted";
    return copy;
  }
  if (!held) held = held_at_source(copy.facts, environment.wait_at_most(kTimeout));
  if (*held) {
    copy.held_bytes = **held;
  } else {
    copy.why_not_known = held->error().message;
  }
  return copy;
}

}  // namespace standfast::setup
