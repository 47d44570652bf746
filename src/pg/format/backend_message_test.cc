#include "pg/format/backend_message.h"

#include <array>

#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

using namespace std::string_view_literals;

// The bytes are those that servers of 12 and 18 sent.

TEST(BackendMessage, AuthenticationNamesItsMechanisms) {
  const std::array mechanisms{"SCRAM-SHA-256-PLUS"sv, "SCRAM-SHA-256"sv};
  EXPECT_EQ(encode_authentication_sasl(mechanisms),
            "R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"sv);
  EXPECT_EQ(encode_authentication_sasl_continue(base::as_bytes("r=x")), "R\0\0\0\x0b\0\0\0\x0br=x"sv);
  EXPECT_EQ(encode_authentication_sasl_final(base::as_bytes("v=y")), "R\0\0\0\x0b\0\0\0\x0cv=y"sv);
  EXPECT_EQ(encode_authentication_ok(), "R\0\0\0\x08\0\0\0\0"sv);
}

TEST(BackendMessage, WhatFollowsALoginIsAsPostgreSQLSaysIt) {
  EXPECT_EQ(encode_parameter_status("in_hot_standby", "off"), "S\0\0\0\x17in_hot_standby\0off\0"sv);
  EXPECT_EQ(encode_backend_key_data({0x50c9, 0x27ea9f01}), "K\0\0\0\x0c\0\0\x50\xc9\x27\xea\x9f\x01"sv);
  EXPECT_EQ(encode_ready_for_query(), "Z\0\0\0\x05I"sv);
  EXPECT_EQ(encode_negotiate_protocol_version({"_pq_.foo"}), "v\0\0\0\x15\0\x03\0\0\0\0\0\x01_pq_.foo\0"sv);
}

TEST(BackendMessage, ARowHasItsColumnsAndNulls) {
  const std::array columns{Column{"restart_lsn"}, Column{"restart_tli", ColumnType::kInt8}};
  EXPECT_EQ(encode_row_description(columns),
            "T\0\0\0\x42\0\x02"
            "restart_lsn\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"
            "restart_tli\0\0\0\0\0\0\0\0\0\0\x14\0\x08\xff\xff\xff\xff\0\0"sv);
  const std::array<RowValue, 2> values{RowValue("0/174B300"), RowValue()};
  EXPECT_EQ(encode_data_row(values),
            "D\0\0\0\x17\0\x02\0\0\0\x09"
            "0/174B300\xff\xff\xff\xff"sv);
  EXPECT_EQ(encode_command_complete("SHOW"), "C\0\0\0\x09SHOW\0"sv);
}

TEST(BackendMessage, AReportIsAnErrorOrANotice) {
  EXPECT_EQ(encode_report({Severity::kError, "42704", "no slot"}),
            "E\0\0\0\x23SERROR\0VERROR\0C42704\0Mno slot\0\0"sv);
  EXPECT_EQ(encode_report({Severity::kWarning, "01000", "m", "d", "h"}),
            "N\0\0\0\x27SWARNING\0VWARNING\0C01000\0Mm\0Dd\0Hh\0\0"sv);
}

TEST(BackendMessage, StreamingMessagesAreThoseThatTheReceiverParses) {
  EXPECT_EQ(encode_copy_both_response(), "W\0\0\0\x07\0\0\0"sv);
  EXPECT_EQ(encode_copy_done(), "c\0\0\0\x04"sv);

  const std::string wal = encode_wal_data_header(Lsn(0x1000000), Lsn(0x2000000), 42, 3) + "abc";
  EXPECT_EQ(wal.substr(0, 5), "d\0\0\0\x20"sv);
  const auto data = parse_replication_message(base::as_bytes(wal).subspan(5));
  ASSERT_TRUE(data);
  EXPECT_EQ(std::get<WalData>(*data).start, Lsn(0x1000000));
  EXPECT_EQ(std::get<WalData>(*data).server_end, Lsn(0x2000000));
  EXPECT_EQ(base::as_text(std::get<WalData>(*data).data), "abc");

  const std::string keepalive = encode_keepalive({Lsn(7), 42, true});
  EXPECT_EQ(keepalive.substr(0, 5), "d\0\0\0\x16"sv);
  const auto parsed = parse_replication_message(base::as_bytes(keepalive).subspan(5));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(std::get<Keepalive>(*parsed).server_end, Lsn(7));
  EXPECT_TRUE(std::get<Keepalive>(*parsed).reply_requested);
}

}  // namespace
}  // namespace standfast::pg
