#include "pg/format/backend_reply.h"

#include <string>

#include <fmt/format.h>

namespace standfast::pg {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

// All of protocol 3 that comes after the login.
constexpr std::string_view kKnownKinds = "123ACDEGHINSTVWZcdnst";
constexpr std::uint32_t kLengthBytes = 4;
/// After a column's name: table, number, type, its size and modifier, format.
constexpr std::size_t kColumnFactsBytes = 4 + 2 + 4 + 2 + 4 + 2;
constexpr std::uint32_t kNull = 0xFFFFFFFFU;

Error misshapen(std::string_view what) {
  return {ErrorCode::kProtocol, fmt::format("the server sent {} that is cut off or misshapen", what)};
}

Severity severity_of(std::string_view name) {
  if (name == "FATAL" || name == "PANIC") return Severity::kFatal;
  if (name == "WARNING") return Severity::kWarning;
  if (name == "ERROR") return Severity::kError;
  const bool is_told_only = name == "NOTICE" || name == "INFO" || name == "LOG" || name == "DEBUG";
  return is_told_only ? Severity::kNotice : Severity::kError;
}

}  // namespace

Result<std::optional<std::size_t>> backend_message_bytes(base::Bytes front) {
  base::ByteReader reader(front);
  const auto kind = reader.u8();
  if (kind && kKnownKinds.find(static_cast<char>(*kind)) == std::string_view::npos) {
    return Error(ErrorCode::kProtocol,
                 fmt::format("the server sent a message of the unknown kind {}", *kind));
  }
  const auto length = reader.u32_be();
  if (!length) return std::optional<std::size_t>();
  const std::size_t whole = std::size_t{*length} + 1;
  if (*length < kLengthBytes || whole > kMaxBackendMessageBytes) {
    return Error(ErrorCode::kProtocol, fmt::format("the server sent a message \"{}\" of {} bytes",
                                                   static_cast<char>(*kind), *length));
  }
  return std::optional(whole);
}

Result<ServerReport> parse_report(base::Bytes body) {
  base::ByteReader reader(body);
  ServerReport report;
  std::string_view shown_severity;
  std::string_view severity;
  while (true) {
    const auto field = reader.u8();
    if (!field) return misshapen("a report");
    if (*field == 0) break;
    const auto text = reader.c_string();
    if (!text) return misshapen("a report");
    switch (static_cast<char>(*field)) {
      case 'S':
        shown_severity = *text;
        break;
      case 'V':
        severity = *text;
        break;
      case 'C':
        report.sqlstate = *text;
        break;
      case 'M':
        report.message = *text;
        break;
      case 'D':
        report.detail = *text;
        break;
      case 'H':
        report.hint = *text;
        break;
      default:
        break;
    }
  }
  // The one that is shown may be in another language.
  report.severity = severity_of(severity.empty() ? shown_severity : severity);
  return report;
}

Result<std::vector<std::string_view>> parse_row_description(base::Bytes body) {
  base::ByteReader reader(body);
  const auto count = reader.u16_be();
  if (!count) return misshapen("a description of rows");
  std::vector<std::string_view> names;
  for (std::uint16_t i = 0; i < *count; ++i) {
    const auto name = reader.c_string();
    if (!name || !reader.take(kColumnFactsBytes)) return misshapen("a description of rows");
    names.push_back(*name);
  }
  return names;
}

Result<std::vector<std::optional<std::string_view>>> parse_data_row(base::Bytes body) {
  base::ByteReader reader(body);
  const auto count = reader.u16_be();
  if (!count) return misshapen("a row");
  std::vector<std::optional<std::string_view>> values;
  for (std::uint16_t i = 0; i < *count; ++i) {
    const auto length = reader.u32_be();
    if (!length) return misshapen("a row");
    if (*length == kNull) {
      values.emplace_back();
      continue;
    }
    const auto value = reader.take(*length);
    if (!value) return misshapen("a row");
    values.emplace_back(base::as_text(*value));
  }
  return values;
}

}  // namespace standfast::pg
