#include "pg/format/backend_reply.h"

#include <array>
#include <string>

#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

using namespace std::string_view_literals;

base::Bytes body_of(std::string_view message) {
  return base::as_bytes(message).subspan(kBackendHeaderBytes);
}

TEST(BackendReply, TheLengthOfAMessageIsKnownOnceItsHeaderIsThere) {
  const std::string message = encode_command_complete("START_STREAMING");
  for (std::size_t i = 0; i < kBackendHeaderBytes; ++i) {
    const auto size = backend_message_bytes(base::as_bytes(message).first(i));
    ASSERT_TRUE(size);
    EXPECT_FALSE(*size) << i;
  }
  for (std::size_t i = kBackendHeaderBytes; i <= message.size(); ++i) {
    EXPECT_EQ(backend_message_bytes(base::as_bytes(message).first(i)).value(), message.size());
  }
}

TEST(BackendReply, WhatMayNotBeIsNotWaitedFor) {
  for (const auto front : {"\x01"sv, "R"sv, "p"sv, "d\0\0\0\x03"sv, "d\0\x20\0\0"sv, "d\xff\xff\xff\xff"sv}) {
    const auto size = backend_message_bytes(base::as_bytes(front));
    ASSERT_FALSE(size);
    EXPECT_EQ(size.error().code, base::ErrorCode::kProtocol);
  }
  EXPECT_EQ(backend_message_bytes(base::as_bytes("d\0\x1f\xff\xff"sv)).value(), kMaxBackendMessageBytes);
  EXPECT_EQ(backend_message_bytes(base::as_bytes("c\0\0\0\x04"sv)).value(), kBackendHeaderBytes);
}

TEST(BackendReply, AReportComesBackAsItWasSaid) {
  for (const Severity severity :
       {Severity::kNotice, Severity::kWarning, Severity::kError, Severity::kFatal}) {
    const std::string message = encode_report({.severity = severity,
                                               .sqlstate = "58P01",
                                               .message = "requested WAL segment has already been removed",
                                               .detail = "a detail",
                                               .hint = "a hint"});
    const auto report = parse_report(body_of(message));
    ASSERT_TRUE(report);
    EXPECT_EQ(report->severity, severity);
    EXPECT_EQ(report->sqlstate, "58P01");
    EXPECT_EQ(report->message, "requested WAL segment has already been removed");
    EXPECT_EQ(report->detail, "a detail");
    EXPECT_EQ(report->hint, "a hint");
    for (std::size_t cut = kBackendHeaderBytes; cut < message.size(); ++cut) {
      EXPECT_FALSE(parse_report(body_of(std::string_view(message).substr(0, cut))));
    }
  }
}

TEST(BackendReply, TheSeverityIsTheOneOfNoLanguage) {
  EXPECT_EQ(parse_report(base::as_bytes("SFATAL\0VWARNING\0Mx\0\0"sv))->severity, Severity::kWarning);
  EXPECT_EQ(parse_report(base::as_bytes("SPANIC\0Mx\0\0"sv))->severity, Severity::kFatal);
  EXPECT_EQ(parse_report(base::as_bytes("VLOG\0Mx\0\0"sv))->severity, Severity::kNotice);
  EXPECT_EQ(parse_report(base::as_bytes("Vnever heard\0Mx\0\0"sv))->severity, Severity::kError);
}

TEST(BackendReply, RowsComeBackAsTheyWereSaid) {
  const std::array columns{Column{"next_tli", ColumnType::kInt8}, Column{"next_tli_startpos"}};
  const std::string description = encode_row_description(columns);
  const auto names = parse_row_description(body_of(description));
  ASSERT_TRUE(names);
  EXPECT_EQ(*names, (std::vector{"next_tli"sv, "next_tli_startpos"sv}));
  const std::array<RowValue, 3> values{RowValue("2"), RowValue(), RowValue("")};
  const std::string row = encode_data_row(values);
  const auto parsed = parse_data_row(body_of(row));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, (std::vector<std::optional<std::string_view>>{"2"sv, std::nullopt, ""sv}));
  for (std::size_t cut = kBackendHeaderBytes; cut < description.size(); ++cut) {
    EXPECT_FALSE(parse_row_description(body_of(std::string_view(description).substr(0, cut))));
  }
  for (std::size_t cut = kBackendHeaderBytes; cut < row.size(); ++cut) {
    EXPECT_FALSE(parse_data_row(body_of(std::string_view(row).substr(0, cut))));
  }
}

}  // namespace
}  // namespace standfast::pg
