// The commands of a physical replication connection (replication/repl_gram.y, repl_scanner.l of 12 to 18).
//
// Threading: a pure function on values. Ownership: a command owns its names.
// As PostgreSQL, but for keywords, which are taken in any case. Names in double quotes keep theirs, bare ones
// become lower case; that a name may be a slot's is not checked here.
// Fails: kProtocol, with the SQLSTATE for the client: 42601 for what is not well formed; 0A000 for what
// is no command of a physical walsender (SQL), or one that only a server with a database can perform.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "pg/format/lsn.h"

namespace standfast::pg {

struct IdentifySystem {
  bool operator==(const IdentifySystem&) const = default;
};
struct ShowSetting {
  std::string name;
  bool operator==(const ShowSetting&) const = default;
};
struct ReadTimelineHistory {
  TimelineId timeline;
  bool operator==(const ReadTimelineHistory&) const = default;
};

enum class SlotLife : std::uint8_t { kPersistent, kTemporary };
enum class ReserveWal : std::uint8_t { kNo, kYes };
struct CreateReplicationSlot {
  std::string slot;
  SlotLife life = SlotLife::kPersistent;
  ReserveWal reserve_wal = ReserveWal::kNo;
  bool operator==(const CreateReplicationSlot&) const = default;
};
struct ReadReplicationSlot {
  std::string slot;
  bool operator==(const ReadReplicationSlot&) const = default;
};
enum class WhenActive : std::uint8_t { kFail, kWait };
struct DropReplicationSlot {
  std::string slot;
  WhenActive when_active = WhenActive::kFail;
  bool operator==(const DropReplicationSlot&) const = default;
};
struct StartReplication {
  std::optional<std::string> slot;
  Lsn start;
  std::optional<TimelineId> timeline;
  bool operator==(const StartReplication&) const = default;
};

using ReplicationCommand =
    std::variant<IdentifySystem, ShowSetting, ReadTimelineHistory, CreateReplicationSlot, ReadReplicationSlot,
                 DropReplicationSlot, StartReplication>;
base::Result<ReplicationCommand> parse_replication_command(std::string_view text);

}  // namespace standfast::pg
