// What a server sends to a client (the manual's "Message Formats"; libpq/pqformat.c, libpq/auth.c,
// replication/walsender.c), as far as one that serves WAL has to say it.
//
// Threading: pure functions on values. Each gives whole messages, with kind and length.
// Invariant of the caller: texts hold no zero byte, which would end them early; no message exceeds a
// gigabyte.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "pg/format/lsn.h"
#include "pg/format/replication_message.h"

namespace standfast::pg {

/// A message of either side after the startup: kind, length, body.
std::string encode_message(char kind, std::string_view body);

// Startup and authentication.

std::string encode_negotiate_protocol_version(const std::vector<std::string>& unknown_options);
std::string encode_authentication_sasl(std::span<const std::string_view> mechanisms);
std::string encode_authentication_sasl_continue(base::Bytes data);
std::string encode_authentication_sasl_final(base::Bytes data);
std::string encode_authentication_ok();
std::string encode_parameter_status(std::string_view name, std::string_view value);
struct BackendKey {
  std::uint32_t process_id = 0;
  std::uint32_t secret = 0;
};
std::string encode_backend_key_data(BackendKey key);
/// Outside of a transaction, always.
std::string encode_ready_for_query();

// Answers to queries.

enum class ColumnType : std::uint8_t { kText, kInt8 };
struct Column {
  std::string_view name;
  ColumnType type = ColumnType::kText;
};
std::string encode_row_description(std::span<const Column> columns);
/// In text format; no value is NULL.
using RowValue = std::optional<std::string>;
std::string encode_data_row(std::span<const RowValue> values);
std::string encode_command_complete(std::string_view tag);

enum class Severity : std::uint8_t { kNotice, kWarning, kError, kFatal };
struct ServerReport {
  Severity severity = Severity::kError;
  std::string sqlstate;  ///< five characters
  std::string message;
  std::string detail = {};
  std::string hint = {};
};
/// An ErrorResponse, or a NoticeResponse for what is no error.
std::string encode_report(const ServerReport& report);

// Streaming.

std::string encode_copy_both_response();
std::string encode_copy_done();
/// CopyData and WalData up to where the WAL begins; `wal_bytes` of it are to follow.
std::string encode_wal_data_header(Lsn start, Lsn server_end, std::int64_t sent_at_pg_microseconds,
                                   std::size_t wal_bytes);
std::string encode_keepalive(const Keepalive& keepalive);

}  // namespace standfast::pg
