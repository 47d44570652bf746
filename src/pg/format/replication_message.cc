#include "pg/format/replication_message.h"

#include <fmt/format.h>

namespace standfast::pg {

using base::Error;
using base::ErrorCode;

base::Result<ReplicationMessage> parse_replication_message(base::Bytes message) {
  base::ByteReader reader(message);
  const auto kind = reader.u8();
  if (!kind) return Error(ErrorCode::kProtocol, "an empty replication message");
  if (*kind != 'w' && *kind != 'k') {
    return Error(ErrorCode::kProtocol, fmt::format("an unknown replication message of kind {:#04x}", *kind));
  }
  const Error cut_off(ErrorCode::kProtocol, fmt::format("a replication message '{}' of {} bytes is cut off",
                                                        static_cast<char>(*kind), message.size()));
  if (*kind == 'w') {
    const auto start = reader.u64_be();
    const auto end = reader.u64_be();
    const auto sent_at = reader.u64_be();
    if (!start || !end || !sent_at) return cut_off;
    return ReplicationMessage(
        WalData{Lsn(*start), Lsn(*end), static_cast<std::int64_t>(*sent_at), reader.rest()});
  }
  const auto end = reader.u64_be();
  const auto sent_at = reader.u64_be();
  const auto reply = reader.u8();
  if (!end || !sent_at || !reply) return cut_off;
  return ReplicationMessage(Keepalive{Lsn(*end), static_cast<std::int64_t>(*sent_at), *reply != 0});
}

std::string encode_standby_status(const StandbyStatus& status) {
  std::string bytes;
  base::append_u8(bytes, 'r');
  base::append_u64_be(bytes, status.write.value());
  base::append_u64_be(bytes, status.flush.value());
  base::append_u64_be(bytes, status.apply.value());
  base::append_u64_be(bytes, static_cast<std::uint64_t>(status.sent_at_pg_microseconds));
  base::append_u8(bytes, status.reply_request == ReplyRequest::kYes ? 1 : 0);
  return bytes;
}

}  // namespace standfast::pg
