#include "pg/format/backend_message.h"

#include <limits>

#include "base/check.h"

namespace standfast::pg {
namespace {

constexpr std::uint32_t kProtocol30 = 3U << 16U;

enum class Authentication : std::uint32_t { kOk = 0, kSasl = 10, kSaslContinue = 11, kSaslFinal = 12 };

// pg_type.dat
constexpr std::uint32_t kInt8Oid = 20;
constexpr std::uint32_t kTextOid = 25;
constexpr std::uint16_t kInt8Bytes = 8;
constexpr std::uint16_t kVariableLength = 0xFFFF;      // -1
constexpr std::uint32_t kNoTypeModifier = 0xFFFFFFFF;  // -1
constexpr std::uint32_t kNull = 0xFFFFFFFF;            // -1

void append_u16_be(std::string& out, std::uint16_t value) {
  base::append_u8(out, static_cast<std::uint8_t>(value >> 8U));
  base::append_u8(out, static_cast<std::uint8_t>(value & 0xFFU));
}

void append_c_string(std::string& out, std::string_view text) {
  out += text;
  out.push_back('\0');
}

/// The kind, the length that `body_bytes` make, and what of the body is there already.
std::string message(char kind, std::string_view body, std::size_t body_bytes) {
  constexpr std::size_t kLengthBytes = 4;
  CHECK(body_bytes <= std::numeric_limits<std::int32_t>::max() - kLengthBytes);
  std::string bytes(1, kind);
  base::append_u32_be(bytes, static_cast<std::uint32_t>(kLengthBytes + body_bytes));
  bytes += body;
  return bytes;
}

std::string authentication(Authentication request, std::string_view rest) {
  std::string body;
  base::append_u32_be(body, static_cast<std::uint32_t>(request));
  body += rest;
  return encode_message('R', body);
}

std::string_view name_of(Severity severity) {
  switch (severity) {
    case Severity::kNotice:
      return "NOTICE";
    case Severity::kWarning:
      return "WARNING";
    case Severity::kError:
      return "ERROR";
    case Severity::kFatal:
      return "FATAL";
  }
  return "ERROR";
}

}  // namespace

std::string encode_message(char kind, std::string_view body) {
  return message(kind, body, body.size());
}

std::string encode_negotiate_protocol_version(const std::vector<std::string>& unknown_options) {
  std::string body;
  base::append_u32_be(body, kProtocol30);
  base::append_u32_be(body, static_cast<std::uint32_t>(unknown_options.size()));
  for (const std::string& option : unknown_options) append_c_string(body, option);
  return encode_message('v', body);
}

std::string encode_authentication_sasl(std::span<const std::string_view> mechanisms) {
  std::string names;
  for (const std::string_view mechanism : mechanisms) append_c_string(names, mechanism);
  append_c_string(names, "");
  return authentication(Authentication::kSasl, names);
}

std::string encode_authentication_sasl_continue(base::Bytes data) {
  return authentication(Authentication::kSaslContinue, base::as_text(data));
}

std::string encode_authentication_sasl_final(base::Bytes data) {
  return authentication(Authentication::kSaslFinal, base::as_text(data));
}

std::string encode_authentication_ok() {
  return authentication(Authentication::kOk, "");
}

std::string encode_parameter_status(std::string_view name, std::string_view value) {
  std::string body;
  append_c_string(body, name);
  append_c_string(body, value);
  return encode_message('S', body);
}

std::string encode_backend_key_data(BackendKey key) {
  std::string body;
  base::append_u32_be(body, key.process_id);
  base::append_u32_be(body, key.secret);
  return encode_message('K', body);
}

std::string encode_ready_for_query() {
  return encode_message('Z', "I");
}

std::string encode_row_description(std::span<const Column> columns) {
  std::string body;
  append_u16_be(body, static_cast<std::uint16_t>(columns.size()));
  for (const Column& column : columns) {
    const bool is_text = column.type == ColumnType::kText;
    append_c_string(body, column.name);
    base::append_u32_be(body, 0);  // of no table
    append_u16_be(body, 0);
    base::append_u32_be(body, is_text ? kTextOid : kInt8Oid);
    append_u16_be(body, is_text ? kVariableLength : kInt8Bytes);
    base::append_u32_be(body, kNoTypeModifier);
    append_u16_be(body, 0);  // text format
  }
  return encode_message('T', body);
}

std::string encode_data_row(std::span<const RowValue> values) {
  std::string body;
  append_u16_be(body, static_cast<std::uint16_t>(values.size()));
  for (const RowValue& value : values) {
    base::append_u32_be(body, value ? static_cast<std::uint32_t>(value->size()) : kNull);
    if (value) body += *value;
  }
  return encode_message('D', body);
}

std::string encode_command_complete(std::string_view tag) {
  std::string body;
  append_c_string(body, tag);
  return encode_message('C', body);
}

std::string encode_report(const ServerReport& report) {
  std::string body;
  const auto add_field = [&body](char field, std::string_view text) {
    body.push_back(field);
    append_c_string(body, text);
  };
  add_field('S', name_of(report.severity));
  add_field('V', name_of(report.severity));
  add_field('C', report.sqlstate);
  add_field('M', report.message);
  if (!report.detail.empty()) add_field('D', report.detail);
  if (!report.hint.empty()) add_field('H', report.hint);
  body.push_back('\0');
  const bool is_error = report.severity == Severity::kError || report.severity == Severity::kFatal;
  return encode_message(is_error ? 'E' : 'N', body);
}

std::string encode_copy_both_response() {
  using namespace std::string_view_literals;
  return encode_message('W', "\0\0\0"sv);  // text as a whole, and no columns
}

std::string encode_copy_done() {
  return encode_message('c', "");
}

std::string encode_wal_data_header(Lsn start, Lsn server_end, std::int64_t sent_at_pg_microseconds,
                                   std::size_t wal_bytes) {
  std::string body = "w";
  base::append_u64_be(body, start.value());
  base::append_u64_be(body, server_end.value());
  base::append_u64_be(body, static_cast<std::uint64_t>(sent_at_pg_microseconds));
  return message('d', body, body.size() + wal_bytes);
}

std::string encode_keepalive(const Keepalive& keepalive) {
  std::string body = "k";
  base::append_u64_be(body, keepalive.server_end.value());
  base::append_u64_be(body, static_cast<std::uint64_t>(keepalive.sent_at_pg_microseconds));
  base::append_u8(body, keepalive.reply_requested ? 1 : 0);
  return encode_message('d', body);
}

}  // namespace standfast::pg
