#include "pg/format/control_file.h"

#include <string>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/crc32c.h"

namespace standfast::pg {
namespace {

using base::ErrorCode;

// The first 296 bytes of global/pg_control as real servers wrote it, in hexadecimal; the rest of the 8192
// bytes is zeros. 12, 15 and 18 ran with max_connections 37, max_worker_processes 11, max_wal_senders 7,
// max_prepared_transactions 3, max_locks_per_transaction 70, wal_log_hints on, all with page checksums; 17 is
// fresh from initdb. The expected values below are what pg_controldata or pg_control_*() of those servers
// said.
constexpr const char* k12 =
    "be0ba32001de026bb1040000dce3080c060000000000000003de026b00000000487b860100000000107b860100000000"
    "01000000010000000100000000000000e601000000000000553400000100000000000000df0100000100000001000000"
    "010000000000000003de026b000000000000000000000000e601000000000000e8030000000000000000000000000000"
    "000000000000000000000000000000000000000000000000000000000100000001000000250000000b00000007000000"
    "030000004600000000000000080000000000000087d63241002000000000020000200000000000014000000020000000"
    "cc070000000800000101000001000000a22c5c7d13b044a3f1c15d59db1e3e72ec9b5fd270525c0d4929c83ce1690808"
    "df79c6f000000000";

constexpr const char* k15 =
    "f0fb185803de026b1405000025770d0c060000000000000005de026b00000000982a750100000000602a750100000000"
    "01000000010000000100000000000000d402000000000000053500000100000000000000cc0200000100000001000000"
    "010000000000000005de026b000000000000000000000000d402000000000000e8030000000000000000000000000000"
    "000000000000000000000000000000000000000000000000000000000100000001000000250000000b00000007000000"
    "030000004600000000000000080000000000000087d63241002000000000020000200000000000014000000020000000"
    "cc0700000008000001000000010000001e2c1114bf10d118b0dbdad5c0f16d957fff8bd646bd0b3cd59c346b5d098bb3"
    "54b334dd00000000";

constexpr const char* k15Standby =
    "f0fb185803de026b1405000025770d0c020000000000000024de026b0000000060000002000000002800000200000000"
    "01000000010000000100000000000000d402000000000000053500000100000000000000cc0200000100000001000000"
    "010000000000000024de026b000000000000000000000000d402000000000000e8030000000000000000000300000000"
    "010000000000000000000000000000000000000000000000000000000100000001000000250000000b00000007000000"
    "030000004600000000000000080000000000000087d63241002000000000020000200000000000014000000020000000"
    "cc0700000008000001000000010000001e2c1114bf10d118b0dbdad5c0f16d957fff8bd646bd0b3cd59c346b5d098bb3"
    "d06b5d3800000000";

constexpr const char* k17 =
    "df31ba6e23de026ba40600008979100c010000000000000023de026b00000000d818720100000000d818720100000000"
    "01000000010000000100000001000000e202000000000000b93400000100000000000000da0200000100000001000000"
    "010000000000000023de026b0000000000000000000000000000000000000000e8030000000000000000000000000000"
    "00000000000000000000000000000000000000000000000000000000010000000000000064000000080000000a000000"
    "000000004000000000000000080000000000000087d63241002000000000020000200000000000014000000020000000"
    "cc0700000008000001000000010000004d2085475d21a7140fef2a824dbde44313051f7e08404cee6cf55dd222c61383"
    "728fc08200000000";

constexpr const char* k18 =
    "353cbab005de026b080700003300120c060000000000000007de026b0000000098b374010000000040b3740100000000"
    "01000000010000000100000001000000f002000000000000c33400000100000000000000e80200000100000001000000"
    "010000000000000007de026b000000000000000000000000f002000000000000e8030000000000000000000000000000"
    "000000000000000000000000000000000000000000000000000000000100000001000000250000000b00000007000000"
    "030000004600000000000000080000000000000087d63241002000000000020000200000000000014000000020000000"
    "cc07000000080000010000000100000001cd7b407467da5f5d82f6cf3088e2ad49dd97b1dab6b4b3ea4747d4e8c3a5f9"
    "29000000276432dc";

std::string file_of(const char* hex) {
  std::string file = base::from_hex(hex).value();
  file.resize(kControlFileBytes, '\0');
  return file;
}

base::Result<ControlFile> parse(const std::string& file) {
  return parse_control_file(base::as_bytes(file));
}

/// Makes the checksum hold again after a change.
void seal(std::string& file, std::size_t crc_offset) {
  base::Crc32c crc;
  crc.update(base::as_bytes(std::string_view(file).substr(0, crc_offset)));
  for (std::size_t i = 0; i < 4; ++i)
    file[crc_offset + i] = static_cast<char>((crc.value() >> (8 * i)) & 0xFFU);
}

void expect_settings_of_the_three(const ControlFile& file) {
  EXPECT_EQ(file.max_connections, 37U);
  EXPECT_EQ(file.max_worker_processes, 11U);
  EXPECT_EQ(file.max_wal_senders, 7U);
  EXPECT_EQ(file.max_prepared_transactions, 3U);
  EXPECT_EQ(file.max_locks_per_transaction, 70U);
  EXPECT_TRUE(file.wal_log_hints);
  EXPECT_TRUE(file.full_page_writes);
  EXPECT_EQ(file.wal_level, WalLevel::kReplica);
  EXPECT_EQ(file.block_bytes, 8192U);
  EXPECT_EQ(file.segment_blocks, 131072U);
  EXPECT_EQ(file.wal_block_bytes, 8192U);
  EXPECT_EQ(file.wal_segment_bytes, 16U << 20U);
  EXPECT_EQ(file.data_checksum_version, 1U);
  EXPECT_EQ(file.timeline, TimelineId(1));
  EXPECT_EQ(file.previous_timeline, TimelineId(1));
}

TEST(ControlFile, ReadsTwelveAsItsServerDoes) {
  const ControlFile file = parse(file_of(k12)).value();
  EXPECT_EQ(file.system_id, SystemId(7710969608435600318ULL));
  EXPECT_EQ(file.control_version, 1201U);
  EXPECT_EQ(file.catalog_version, 201909212U);
  EXPECT_EQ(file.state, DbState::kInProduction);
  EXPECT_EQ(file.checkpoint, Lsn::parse("0/1867B48"));
  EXPECT_EQ(file.checkpoint_redo, Lsn::parse("0/1867B10"));
  EXPECT_FALSE(file.min_recovery_point.is_valid());
  EXPECT_FALSE(file.is_in_recovery());
  expect_settings_of_the_three(file);
}

TEST(ControlFile, ReadsFifteenAsItsServerDoes) {
  const ControlFile file = parse(file_of(k15)).value();
  EXPECT_EQ(file.system_id, SystemId(7710969617956010992ULL));
  EXPECT_EQ(file.control_version, 1300U);
  EXPECT_EQ(file.catalog_version, 202209061U);
  EXPECT_EQ(file.state, DbState::kInProduction);
  EXPECT_EQ(file.checkpoint, Lsn::parse("0/1752A98"));
  EXPECT_EQ(file.checkpoint_redo, Lsn::parse("0/1752A60"));
  EXPECT_FALSE(file.min_recovery_point.is_valid());
  EXPECT_FALSE(file.is_in_recovery());
  expect_settings_of_the_three(file);
}

TEST(ControlFile, ReadsEighteenAsItsServerDoes) {
  const ControlFile file = parse(file_of(k18)).value();
  EXPECT_EQ(file.system_id, SystemId(7710969628032908341ULL));
  EXPECT_EQ(file.control_version, 1800U);
  EXPECT_EQ(file.catalog_version, 202506291U);
  EXPECT_EQ(file.state, DbState::kInProduction);
  EXPECT_EQ(file.checkpoint, Lsn::parse("0/174B398"));
  EXPECT_EQ(file.checkpoint_redo, Lsn::parse("0/174B340"));
  EXPECT_FALSE(file.min_recovery_point.is_valid());
  EXPECT_FALSE(file.is_in_recovery());
  expect_settings_of_the_three(file);
}

TEST(ControlFile, ReadsAStandbyThatWasShutDown) {
  const ControlFile file = parse(file_of(k15Standby)).value();
  EXPECT_EQ(file.state, DbState::kShutDownInRecovery);
  EXPECT_EQ(describe(file.state), "shut down in recovery");
  EXPECT_TRUE(file.is_in_recovery());
  EXPECT_EQ(file.checkpoint, Lsn::parse("0/2000060"));
  EXPECT_EQ(file.checkpoint_redo, Lsn::parse("0/2000028"));
  EXPECT_EQ(file.min_recovery_point, Lsn::parse("0/3000000"));
  EXPECT_EQ(file.min_recovery_timeline, TimelineId(1));
  EXPECT_FALSE(file.backup_start.is_valid());
  EXPECT_FALSE(file.backup_end_required);
  expect_settings_of_the_three(file);
}

TEST(ControlFile, ReadsSeventeenWhichHasANumberOfItsOwn) {
  const ControlFile file = parse(file_of(k17)).value();
  EXPECT_EQ(file.system_id, SystemId(7710969755774628319ULL));
  EXPECT_EQ(file.control_version, 1700U);
  EXPECT_EQ(file.state, DbState::kShutDown);
  EXPECT_EQ(file.max_connections, 100U);
  EXPECT_EQ(file.data_checksum_version, 1U);
}

TEST(ControlFile, EveryFlippedByteUnderTheChecksumIsNoticed) {
  for (const char* hex : {k12, k15, k17, k18}) {
    const std::string good = file_of(hex);
    const std::size_t covered = hex == k18 ? 292 : 288;
    for (std::size_t i = 0; i < covered + 4; ++i) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 0x40);
      const auto result = parse(bad);
      ASSERT_FALSE(result.has_value()) << i;
      const bool is_version = i >= 8 && i < 12;
      EXPECT_EQ(result.error().code, is_version ? ErrorCode::kVersion : ErrorCode::kDamaged) << i;
    }
  }
}

TEST(ControlFile, ATornOrEmptyFileIsDamaged) {
  for (const std::size_t size : {0U, 1U, 8U, 288U, 295U}) {
    EXPECT_EQ(parse(file_of(k15).substr(0, size)).error().code, ErrorCode::kDamaged) << size;
  }
  EXPECT_EQ(parse(std::string(kControlFileBytes, '\0')).error().code, ErrorCode::kVersion);
}

TEST(ControlFile, AnotherVersionIsNamedRatherThanCalledDamaged) {
  std::string file = file_of(k15);
  file[8] = static_cast<char>(1903 & 0xFF);
  file[9] = static_cast<char>(1903 >> 8);
  seal(file, 288);
  const auto result = parse(file);
  EXPECT_EQ(result.error().code, ErrorCode::kVersion);
  EXPECT_NE(result.error().message.find("1903"), std::string::npos);
}

TEST(ControlFile, ValuesThatCannotBeAreDamageThoughTheChecksumHolds) {
  struct Case {
    std::size_t offset;
    char value;
  };
  for (const Case bad : {Case{16, 7}, Case{172, 3}, Case{228, 1}, Case{231, 127}}) {
    std::string file = file_of(k15);
    file[bad.offset] = bad.value;
    seal(file, 288);
    EXPECT_EQ(parse(file).error().code, ErrorCode::kDamaged) << bad.offset;
  }
}

}  // namespace
}  // namespace standfast::pg
