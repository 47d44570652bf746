#include "clone/source.h"

#include <algorithm>

#include <fmt/format.h>

#include "env/network.h"
#include "pg/format/replication_message.h"
#include "pg/format/sql_text.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

Result<client::ReplicationConnection> connect_to_source(const CloneOptions& options, SourceUse use,
                                                        const env::StopEvent& stop) {
  client::ConnectOptions connect = options.connect;
  if (use == SourceUse::kWal) connect.set("application_name", "standfast_clone");
  return client::ReplicationConnection::open(connect, env::Wait::for_at_most(kConnectTimeout, &stop));
}

namespace {

/// A connection for physical replication takes no statement that would tell it outright.
Result<bool> is_standby(client::ReplicationConnection& connection, const env::Wait& wait) {
  if (connection.server_version().reports_in_hot_standby())
    return connection.connection().parameter_status("in_hot_standby").value_or("off") == "on";
  if (TRY(connection.show("transaction_read_only", wait)) == "off") return false;
  return TRY(connection.show("default_transaction_read_only", wait)) == "off";
}

bool is_on_this_host(const std::string& host) {
  if (host.starts_with('/') || host.starts_with('@')) return true;
  const auto addresses = env::resolve_addresses(host);
  return addresses && std::any_of(addresses->begin(), addresses->end(), env::is_local_address);
}

}  // namespace

Result<SourceFacts> look_at_source(client::ReplicationConnection& connection, const CloneOptions& options,
                                   const env::StopEvent& stop) {
  const env::Wait wait = env::Wait::for_at_most(kCommandTimeout, &stop);
  SourceFacts facts;
  facts.version = connection.server_version();
  facts.identity = TRY(connection.identify_system(wait));
  facts.is_standby = TRY(is_standby(connection, wait));
  facts.is_on_this_host = is_on_this_host(connection.connection().host());
  if (options.expected_system_id && facts.identity.system_id != *options.expected_system_id) {
    return Error(ErrorCode::kPrecondition,
                 fmt::format("the server's system identifier is {}, not {}",
                             facts.identity.system_id.to_string(), options.expected_system_id->to_string()),
                 "Another cluster answers at this address. Check host and port.");
  }
  facts.wal_segment_bytes = TRY(connection.wal_segment_bytes(wait));
  if (TRY(connection.show("data_directory_mode", wait)) == "0750") facts.modes = {0750, 0750};
  return facts;
}

std::string_view hint_after_promotion(Left left) {
  return left == Left::kNothing ? "What was copied is of no use and is not kept. Run this again."
                                : "Run this again.";
}

Error as_standby_error(Error error, Left left) {
  if (error.sqlstate != kSlotWrongState) return error;
  error.code = ErrorCode::kPrecondition;
  // The server may say it in another language; what it says and hints is then all there is.
  if (error.message.find("full_page_writes") != std::string::npos) {
    error.hint =
        "A standby can only be copied while its primary has full_page_writes on. Turn it on there and "
        "reload, "
        "run CHECKPOINT on the primary and then on the standby, and run this again.";
  } else if (error.message.find("promoted") != std::string::npos) {
    error.hint = fmt::format("It is a primary now. {}", hint_after_promotion(left));
  }
  return error;
}

namespace {

Error as_slot_error(Error error, const std::string& slot) {
  if (error.sqlstate.empty()) return error;
  error.code = ErrorCode::kSlot;
  if (error.sqlstate == kSlotInUse) {
    error.hint =
        "Another standby or backup uses this slot. Give this one a slot of its own (-S), or stop the other.";
  } else if (error.sqlstate == kSlotUndefined) {
    error.hint = "Add -C to create it, or make it on the primary with \"standfast primary setup\".";
  } else {
    error.hint =
        fmt::format("If it has lost WAL, drop it on the primary ({}) and add -C.", drop_statement(slot));
  }
  return error;
}

}  // namespace

Result<void> try_slot(client::ReplicationConnection& connection, const std::string& slot,
                      const client::BackupPosition& at, client::ReserveWal reserve, const env::Wait& wait) {
  auto started = connection.start_replication({slot, at.lsn, at.timeline}, wait);
  if (!started) return as_slot_error(std::move(started).error(), slot);
  if (reserve == client::ReserveWal::kYes) {
    const pg::StandbyStatus status{.write = at.lsn, .flush = at.lsn};
    TRY(connection.connection().send_copy(base::as_bytes(pg::encode_standby_status(status)), wait));
  }
  auto ended = connection.end_replication(wait);
  if (!ended) return as_slot_error(std::move(ended).error(), slot);
  return base::ok();
}

Result<void> drop_slot(const client::ConnectOptions& connect, const std::string& slot,
                       const DropRules& rules) {
  // What was interrupted is cleaned up all the same, so no stop event ends this.
  const env::Wait wait = env::Wait::for_at_most(kSlotDropTimeout);
  auto connection = TRY(client::ReplicationConnection::open(connect, wait));
  if (rules.only_on && TRY(connection.identify_system(wait)).system_id != *rules.only_on)
    return Error(ErrorCode::kPrecondition, "another cluster answers there");
  return connection.drop_slot(slot, wait, rules.when);
}

std::string drop_statement(const std::string& slot) {
  return fmt::format("SELECT pg_drop_replication_slot({})", pg::quote_literal(slot));
}

}  // namespace standfast::clone
