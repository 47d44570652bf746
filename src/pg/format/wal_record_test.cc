#include "pg/format/wal_record.h"

#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

const std::string kHeader(kWalRecordHeaderBytes, 'h');
const std::string kCopy =
    std::string("\xff\x10", 2) + std::string("\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\1\0\0", 16);

std::optional<DatabaseCopy> parse(const std::string& record) {
  return parse_database_copy(base::as_bytes(record));
}

TEST(DatabaseCopyRecord, IsRead) {
  const auto copy = parse(kHeader + kCopy);
  ASSERT_TRUE(copy);
  EXPECT_EQ(copy->database, 1U);
  EXPECT_EQ(copy->tablespace, 2U);
  EXPECT_EQ(copy->source_database, 3U);
  EXPECT_EQ(copy->source_tablespace, 260U);
}

TEST(DatabaseCopyRecord, OriginAndTransactionMayStandBefore) {
  const std::string origin("\xfd\x05\0", 3);
  const std::string transaction("\xfc\x05\0\0\0", 5);
  for (const std::string& before : {origin, transaction, origin + transaction}) {
    const auto copy = parse(kHeader + before + kCopy);
    ASSERT_TRUE(copy);
    EXPECT_EQ(copy->source_database, 3U);
  }
}

TEST(DatabaseCopyRecord, WhatIsNoneOrIsCutOffIsNotRead) {
  const std::string whole = kHeader + kCopy;
  for (std::size_t length = 0; length < whole.size(); ++length) EXPECT_FALSE(parse(whole.substr(0, length)));
  EXPECT_FALSE(parse(kHeader + std::string("\0\x10", 2) + kCopy));  // a page
}

TEST(DatabaseCopyRecord, IsToldByManagerAndInfo) {
  WalRecordHeader header;
  header.resource_manager = 4;
  header.info = 0x01;  // its lower half is not the manager's
  EXPECT_TRUE(header.is_database_copy());
  header.info = 0x10;
  EXPECT_FALSE(header.is_database_copy());
  header.info = 0;
  header.resource_manager = 5;
  EXPECT_FALSE(header.is_database_copy());
}

}  // namespace
}  // namespace standfast::pg
