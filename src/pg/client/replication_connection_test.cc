#include "pg/client/replication_connection.h"

#include <gtest/gtest.h>

namespace standfast::client {
namespace {

const pg::Version k12(120022);
const pg::Version k13(130023);
const pg::Version k14(140023);
const pg::Version k15(150018);
const pg::Version k18(180004);

TEST(BaseBackupStatement, WordsUntil14AndAListAfter) {
  BaseBackupOptions options;
  options.label = "it's";
  options.checkpoint = BackupCheckpoint::kFast;
  options.wait_for_archiving = false;
  EXPECT_EQ(base_backup_statement(options, k12), "BASE_BACKUP LABEL 'it''s' PROGRESS FAST NOWAIT");
  for (const pg::Version version : {k13, k14}) {
    EXPECT_EQ(base_backup_statement(options, version),
              "BASE_BACKUP LABEL 'it''s' PROGRESS FAST NOWAIT MANIFEST 'yes' MANIFEST_CHECKSUMS 'CRC32C'");
  }
  for (const pg::Version version : {k15, k18}) {
    EXPECT_EQ(base_backup_statement(options, version),
              "BASE_BACKUP ( LABEL 'it''s', PROGRESS, CHECKPOINT 'fast', WAIT 0, MANIFEST 'yes', "
              "MANIFEST_CHECKSUMS 'CRC32C' )");
  }
}

TEST(BaseBackupStatement, EveryOptionHasItsWord) {
  BaseBackupOptions options;
  options.label = "x";
  options.include_wal = true;
  options.manifest = false;
  options.verify_checksums = false;
  options.max_rate_bytes_per_second = 32U << 20U;
  EXPECT_EQ(base_backup_statement(options, k14),
            "BASE_BACKUP LABEL 'x' PROGRESS WAL MAX_RATE 32768 NOVERIFY_CHECKSUMS");
  EXPECT_EQ(
      base_backup_statement(options, k15),
      "BASE_BACKUP ( LABEL 'x', PROGRESS, CHECKPOINT 'spread', WAL, MAX_RATE 32768, VERIFY_CHECKSUMS 0 )");
}

TEST(SlotStatement, ReservesInTheServersSyntax) {
  const NewSlot slot{.name = "pgstandby1"};
  EXPECT_EQ(create_slot_statement(slot, k14), "CREATE_REPLICATION_SLOT \"pgstandby1\" PHYSICAL RESERVE_WAL");
  EXPECT_EQ(create_slot_statement(slot, k15),
            "CREATE_REPLICATION_SLOT \"pgstandby1\" PHYSICAL (RESERVE_WAL)");
  EXPECT_EQ(create_slot_statement({"a\"b", SlotPersistence::kTemporary, ReserveWal::kNo}, k15),
            "CREATE_REPLICATION_SLOT \"a\"\"b\" TEMPORARY PHYSICAL");
}

TEST(StartReplicationStatement, NamesTheTimeline) {
  EXPECT_EQ(start_replication_statement({std::nullopt, pg::Lsn(0x16'B300'0000), pg::TimelineId(3)}),
            "START_REPLICATION 16/B3000000 TIMELINE 3");
  EXPECT_EQ(start_replication_statement({"s1", pg::Lsn(0x300'0000), pg::TimelineId(1)}),
            "START_REPLICATION SLOT \"s1\" 0/3000000 TIMELINE 1");
}

}  // namespace
}  // namespace standfast::client
