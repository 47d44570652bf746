#include "pg/format/replication_message.h"

#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

std::string wal_message(std::uint64_t start, std::string_view data) {
  std::string bytes = "w";
  base::append_u64_be(bytes, start);
  base::append_u64_be(bytes, start + 1000);
  base::append_u64_be(bytes, 42);
  return bytes + std::string(data);
}

TEST(ReplicationMessage, WalDataCarriesItsPosition) {
  const std::string bytes = wal_message(0x1600'0000, "abc");
  const auto message = parse_replication_message(base::as_bytes(bytes));
  ASSERT_TRUE(message);
  const auto& wal = std::get<WalData>(*message);
  EXPECT_EQ(wal.start, Lsn(0x1600'0000));
  EXPECT_EQ(wal.server_end, Lsn(0x1600'0000 + 1000));
  EXPECT_EQ(wal.sent_at_pg_microseconds, 42);
  EXPECT_EQ(base::as_text(wal.data), "abc");
}

TEST(ReplicationMessage, KeepaliveTellsWhetherItWantsAReply) {
  for (const bool wants : {false, true}) {
    std::string bytes = "k";
    base::append_u64_be(bytes, 7);
    base::append_u64_be(bytes, 8);
    base::append_u8(bytes, wants ? 1 : 0);
    const auto message = parse_replication_message(base::as_bytes(bytes));
    ASSERT_TRUE(message);
    EXPECT_EQ(std::get<Keepalive>(*message).server_end, Lsn(7));
    EXPECT_EQ(std::get<Keepalive>(*message).reply_requested, wants);
  }
}

TEST(ReplicationMessage, WhatIsCutOffIsRefused) {
  const std::string whole = wal_message(1, "");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(parse_replication_message(base::as_bytes(whole.substr(0, length)))) << length;
  }
  EXPECT_FALSE(parse_replication_message(base::as_bytes("k1234567812345678")));
  EXPECT_FALSE(parse_replication_message(base::as_bytes("x")));
}

TEST(ReplicationMessage, StatusIsThirtyFourBytes) {
  const std::string bytes = encode_standby_status({Lsn(1), Lsn(2), Lsn(3), 4, ReplyRequest::kYes});
  EXPECT_EQ(base::to_hex(base::as_bytes(bytes)),
            "720000000000000001000000000000000200000000000000030000000000000004"
            "01");
}

}  // namespace
}  // namespace standfast::pg
