// Replication commands: a refusal has its SQLSTATE, and what is understood, written out again, is the same.
#include <string>

#include <fmt/format.h>

#include "fuzz_input.h"
#include "pg/format/replication_command.h"
#include "pg/format/sql_text.h"

namespace {

namespace pg = standfast::pg;

struct Text {
  std::string operator()(const pg::IdentifySystem& /*command*/) const { return "IDENTIFY_SYSTEM"; }
  std::string operator()(const pg::ShowSetting& command) const {
    // Its parts cannot be told apart any more; quoted as one, the name is the same.
    return "SHOW " + pg::quote_identifier(command.name);
  }
  std::string operator()(const pg::ReadTimelineHistory& command) const {
    return fmt::format("TIMELINE_HISTORY {}", command.timeline.value());
  }
  std::string operator()(const pg::CreateReplicationSlot& command) const {
    return fmt::format("CREATE_REPLICATION_SLOT {}{} PHYSICAL{}", pg::quote_identifier(command.slot),
                       command.life == pg::SlotLife::kTemporary ? " TEMPORARY" : "",
                       command.reserve_wal == pg::ReserveWal::kYes ? " (RESERVE_WAL)" : "");
  }
  std::string operator()(const pg::ReadReplicationSlot& command) const {
    return "READ_REPLICATION_SLOT " + pg::quote_identifier(command.slot);
  }
  std::string operator()(const pg::DropReplicationSlot& command) const {
    return "DROP_REPLICATION_SLOT " + pg::quote_identifier(command.slot) +
           (command.when_active == pg::WhenActive::kWait ? " WAIT" : "");
  }
  std::string operator()(const pg::StartReplication& command) const {
    return fmt::format("START_REPLICATION {}{}{};",
                       command.slot ? "SLOT " + pg::quote_identifier(*command.slot) + " " : "",
                       command.start.to_string(),
                       command.timeline ? fmt::format(" TIMELINE {}", command.timeline->value()) : "");
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = standfast::fuzz::as_text(data, size);
  if (text.find('\0') != std::string_view::npos) return 0;  // a query ends there
  const auto command = pg::parse_replication_command(text);
  if (!command) {
    CHECK(command.error().sqlstate.size() == 5 && !command.error().message.empty());
    return 0;
  }
  const auto again = pg::parse_replication_command(std::visit(Text{}, *command));
  CHECK(again.has_value() && *again == *command);
  return 0;
}
