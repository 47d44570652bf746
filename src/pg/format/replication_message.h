// What goes over a physical replication stream inside CopyData (replication/walsender.c, walreceiver.c; the
// "Streaming Replication Protocol" of the manual).
//
// Threading: pure functions on values. Ownership: a parsed message views the bytes it was parsed from.
// Fails: kProtocol for a message that is cut off or of an unknown kind.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "base/bytes.h"
#include "base/result.h"
#include "pg/format/lsn.h"

namespace standfast::pg {

/// WAL: 'w'.
struct WalData {
  Lsn start;
  Lsn server_end;                            ///< how far the server's WAL goes
  std::int64_t sent_at_pg_microseconds = 0;  ///< since 2000-01-01
  base::Bytes data;
};

/// Keepalive: 'k'.
struct Keepalive {
  Lsn server_end;
  std::int64_t sent_at_pg_microseconds = 0;
  bool reply_requested = false;
};

using ReplicationMessage = std::variant<WalData, Keepalive>;
base::Result<ReplicationMessage> parse_replication_message(base::Bytes message);

enum class ReplyRequest : std::uint8_t { kNo, kYes };

/// Standby status update: 'r'. An invalid position says "nothing yet".
struct StandbyStatus {
  Lsn write;
  Lsn flush;
  Lsn apply = {};
  std::int64_t sent_at_pg_microseconds = 0;
  ReplyRequest reply_request = ReplyRequest::kNo;
};
std::string encode_standby_status(const StandbyStatus& status);

}  // namespace standfast::pg
