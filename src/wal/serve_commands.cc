// Between two streams: replication commands and their answers.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/check.h"
#include "pg/format/sql_text.h"
#include "pg/format/wal_file.h"
#include "wal/serve_session.h"

namespace standfast::wal {

using pg::Column;
using pg::ColumnType;
using pg::RowValue;
using pg::ServerReport;
using serve::SlotOutcome;

namespace {

/// A name that no slot can have belongs to none, and goes into no action.
bool may_be_slot(std::string_view name) {
  return pg::valid_slot_name(name).has_value();
}

ServerReport slot_report(const std::string& slot, const serve::SlotAnswer& answer) {
  switch (answer.outcome) {
    case SlotOutcome::kMissing:
      return {.sqlstate = "42704", .message = fmt::format("replication slot \"{}\" does not exist", slot)};
    case SlotOutcome::kExists:
      return {.sqlstate = "42710", .message = fmt::format("replication slot \"{}\" already exists", slot)};
    case SlotOutcome::kActive:
      return {.sqlstate = "55006",
              .message = fmt::format("replication slot \"{}\" is active for another connection", slot)};
    case SlotOutcome::kLost:
      return {.sqlstate = "55000",
              .message = fmt::format("can no longer access replication slot \"{}\"", slot),
              .detail = "It held back more WAL than its bound allows, and the oldest of that is gone.",
              .hint =
                  "Let the standby fetch the missing WAL elsewhere, or make a new copy of it; then drop "
                  "the slot and create it again."};
    case SlotOutcome::kTooMany:
      return {.sqlstate = "53400",
              .message = "all replication slots are in use",
              .hint = "Drop one that is no longer needed, or raise the bound."};
    case SlotOutcome::kFailed:
    case SlotOutcome::kDone:
      break;
  }
  return {.sqlstate = "58030",
          .message = fmt::format("replication slot \"{}\" could not be changed", slot),
          .detail = answer.detail};
}

ServerReport invalid_slot_name(const std::string& slot) {
  return {.sqlstate = slot.size() > 63 ? "42622" : "42602",
          .message = fmt::format("replication slot name \"{}\" is not valid", slot),
          .hint =
              "Replication slot names may only contain lower case letters, numbers, and the underscore "
              "character, at most 63 of them."};
}

std::string shown_segment_size(std::uint64_t bytes) {
  const std::uint64_t megabytes = bytes >> 20U;
  return megabytes % 1024 == 0 ? fmt::format("{}GB", megabytes / 1024) : fmt::format("{}MB", megabytes);
}

}  // namespace

void ServeSession::on_idle_message(const pg::FrontendMessage& message) {
  switch (message.kind) {
    case 'X':
      return end("the client ended the session");
    case 'S':
      skips_until_sync_ = false;
      return send(pg::encode_ready_for_query());
    case 'Q':
      if (!skips_until_sync_) on_query(message.body);
      return;
    case 'd':  // a standby that has not seen the error yet that ended its stream goes on for a moment
    case 'c':
    case 'f':
    case 'H':  // nothing is ever held back that it could flush
      return;
    case 'p':
      return end_fatally("08P01", fmt::format("invalid frontend message type {}", int{'p'}));
    default:
      break;
  }
  if (skips_until_sync_) return;
  const ServerReport report{.sqlstate = "08P01",
                            .message = "extended query protocol not supported in a replication connection"};
  if (message.kind == 'F') return reply_error(report);
  skips_until_sync_ = true;
  send(pg::encode_report(report));
}

void ServeSession::on_query(base::Bytes body) {
  const auto text = pg::parse_query(body);
  if (!text) return reply_error({.sqlstate = text.error().sqlstate, .message = text.error().message});
  const auto command = pg::parse_replication_command(*text);
  if (!command) {
    const base::Error& error = command.error();
    return reply_error({.sqlstate = error.sqlstate, .message = error.message, .hint = error.hint});
  }
  std::visit([this](const auto& each) { perform(each); }, *command);
}

void ServeSession::reply_error(const ServerReport& report) {
  send(pg::encode_report(report));
  send(pg::encode_ready_for_query());
}

void ServeSession::reply_row(std::span<const Column> columns, std::span<const RowValue> values,
                             std::string_view tag) {
  send(pg::encode_row_description(columns));
  send(pg::encode_data_row(values));
  send(pg::encode_command_complete(tag));
  send(pg::encode_ready_for_query());
}

void ServeSession::ask(pg::ReplicationCommand command, serve::Action question) {
  asked_ = std::move(command);
  actions_.push_back(std::move(question));
  state_ = State::kAsking;
}

void ServeSession::perform(const pg::IdentifySystem& /*command*/) {
  const serve::StoreView& store = options_.store;
  if (store.timeline.value() == 0) {
    return reply_error({.sqlstate = "57P03", .message = "this server has received no WAL yet"});
  }
  const std::array columns{Column{"systemid"}, Column{"timeline", ColumnType::kInt8}, Column{"xlogpos"},
                           Column{"dbname"}};
  const std::array<RowValue, 4> values{options_.facts.system_id.to_string(),
                                       fmt::format("{}", store.timeline.value()),
                                       store.durable_end.to_string(), std::nullopt};
  reply_row(columns, values, "IDENTIFY_SYSTEM");
}

std::optional<std::string> ServeSession::shown_setting(std::string_view name) const {
  if (name == "wal_segment_size") return shown_segment_size(options_.facts.segment_bytes);
  if (name == "data_directory_mode") return fmt::format("{:04o}", options_.facts.data_directory_mode);
  if (name == "transaction_read_only") return "on";  // a libpq before 14 asks
  for (const auto& [parameter, value] : reported_parameters()) {
    if (parameter == name) return value;
  }
  return std::nullopt;
}

void ServeSession::perform(const pg::ShowSetting& command) {
  const auto value = shown_setting(command.name);
  if (!value) {
    return reply_error({.sqlstate = "42704",
                        .message = fmt::format("unrecognized configuration parameter \"{}\"", command.name)});
  }
  const std::array columns{Column{command.name}};
  const std::array<RowValue, 1> values{*value};
  reply_row(columns, values, "SHOW");
}

void ServeSession::perform(const pg::ReadTimelineHistory& command) {
  ask(command, serve::ReadHistory{command.timeline});
}

void ServeSession::on_history(std::optional<std::string> content) {
  if (state_ != State::kAsking) return;
  CHECK(asked_ && std::holds_alternative<pg::ReadTimelineHistory>(*asked_));
  const std::string name = pg::timeline_history_name(std::get<pg::ReadTimelineHistory>(*asked_).timeline);
  asked_.reset();
  state_ = State::kIdle;
  if (!content) {
    return reply_error(
        {.sqlstate = "58P01",
         .message = fmt::format("could not open file \"pg_wal/{}\": No such file or directory", name)});
  }
  const std::array columns{Column{"filename"}, Column{"content"}};
  const std::array<RowValue, 2> values{name, std::move(content)};
  reply_row(columns, values, "TIMELINE_HISTORY");
}

void ServeSession::on_history_failed(const base::Error& error) {
  if (state_ != State::kAsking) return;
  asked_.reset();
  state_ = State::kIdle;
  reply_error({.sqlstate = "58030", .message = error.message, .hint = error.hint});
}

void ServeSession::perform(const pg::CreateReplicationSlot& command) {
  if (!may_be_slot(command.slot)) return reply_error(invalid_slot_name(command.slot));
  ask(command, serve::CreateSlot{command.slot, command.life, command.reserve_wal});
}

void ServeSession::perform(const pg::ReadReplicationSlot& command) {
  if (!may_be_slot(command.slot)) return reply_slot(command, {.outcome = SlotOutcome::kMissing});
  ask(command, serve::ReadSlot{command.slot});
}

void ServeSession::perform(const pg::DropReplicationSlot& command) {
  if (!may_be_slot(command.slot)) {
    return reply_error(slot_report(command.slot, {.outcome = SlotOutcome::kMissing}));
  }
  ask(command, serve::DropSlot{command.slot, command.when_active});
}

void ServeSession::perform(const pg::StartReplication& command) {
  if (!command.slot) return start_stream(command);
  if (!may_be_slot(*command.slot)) {
    return reply_error(slot_report(*command.slot, {.outcome = SlotOutcome::kMissing}));
  }
  ask(command, serve::AcquireSlot{*command.slot});
}

void ServeSession::on_slot(const serve::SlotAnswer& answer, const serve::Instant& now) {
  if (state_ != State::kAsking) return;
  CHECK(asked_ && !std::holds_alternative<pg::ReadTimelineHistory>(*asked_));
  instant_ = now;
  const pg::ReplicationCommand command = *std::exchange(asked_, std::nullopt);
  state_ = State::kIdle;
  const bool is_done = answer.outcome == SlotOutcome::kDone;
  if (const auto* read = std::get_if<pg::ReadReplicationSlot>(&command)) return reply_slot(*read, answer);
  if (const auto* start = std::get_if<pg::StartReplication>(&command)) {
    return is_done ? start_stream(*start) : reply_error(slot_report(*start->slot, answer));
  }
  if (const auto* drop = std::get_if<pg::DropReplicationSlot>(&command)) {
    if (!is_done) return reply_error(slot_report(drop->slot, answer));
    send(pg::encode_command_complete("DROP_REPLICATION_SLOT"));
    return send(pg::encode_ready_for_query());
  }
  const auto& create = std::get<pg::CreateReplicationSlot>(command);
  if (!is_done) return reply_error(slot_report(create.slot, answer));
  const std::array columns{Column{"slot_name"}, Column{"consistent_point"}, Column{"snapshot_name"},
                           Column{"output_plugin"}};
  // The point is for logical slots; PostgreSQL says 0/0 of a physical one, also where it reserves WAL.
  const std::array<RowValue, 4> values{create.slot, pg::Lsn().to_string(), std::nullopt, std::nullopt};
  reply_row(columns, values, "CREATE_REPLICATION_SLOT");
}

void ServeSession::reply_slot(const pg::ReadReplicationSlot& command, const serve::SlotAnswer& answer) {
  std::array<RowValue, 3> values;  // of NULLs, for a slot that does not exist
  if (answer.outcome == SlotOutcome::kDone || answer.outcome == SlotOutcome::kLost) {
    values[0] = "physical";
    if (answer.outcome == SlotOutcome::kDone && answer.restart.is_valid()) {
      values[1] = answer.restart.to_string();
      values[2] = fmt::format("{}", answer.restart_timeline.value());
    }
  } else if (answer.outcome != SlotOutcome::kMissing) {
    return reply_error(slot_report(command.slot, answer));
  }
  const std::array columns{Column{"slot_type"}, Column{"restart_lsn"},
                           Column{"restart_tli", ColumnType::kInt8}};
  reply_row(columns, values, "READ_REPLICATION_SLOT");
}

}  // namespace standfast::wal
