#include "pg/format/replication_command.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

ReplicationCommand parsed(std::string_view text) {
  auto command = parse_replication_command(text);
  EXPECT_TRUE(command) << text << ": " << (command ? "" : command.error().message);
  return command ? *command : ReplicationCommand(ShowSetting{"none"});
}
/// "SQLSTATE message"
std::string refused(std::string_view text) {
  const auto command = parse_replication_command(text);
  return command ? "taken" : command.error().sqlstate + " " + command.error().message;
}

TEST(ReplicationCommand, WordsInAnyCaseBlanksAndASemicolon) {
  for (const char* text :
       {"IDENTIFY_SYSTEM", "identify_system;", "  Identify_System\n;\t ", "IDENTIFY_SYSTEM ;"}) {
    EXPECT_EQ(parsed(text), ReplicationCommand(IdentifySystem{})) << text;
  }
  EXPECT_EQ(refused("IDENTIFY_SYSTEM x"), "42601 syntax error");
  EXPECT_EQ(refused("IDENTIFY_SYSTEM;;"), "42601 syntax error");
}

TEST(ReplicationCommand, ShowTakesANameWithItsParts) {
  EXPECT_EQ(parsed("SHOW wal_segment_size"), ReplicationCommand(ShowSetting{"wal_segment_size"}));
  EXPECT_EQ(parsed("SHOW Data_Directory_Mode;"), ReplicationCommand(ShowSetting{"data_directory_mode"}));
  EXPECT_EQ(parsed("SHOW a.b"), ReplicationCommand(ShowSetting{"a.b"}));
  EXPECT_EQ(refused("SHOW"), "42601 syntax error");
  EXPECT_EQ(refused("SHOW a."), "42601 syntax error");
}

TEST(ReplicationCommand, ATimelineIsOneAndUp) {
  EXPECT_EQ(parsed("TIMELINE_HISTORY 2"), ReplicationCommand(ReadTimelineHistory{TimelineId(2)}));
  EXPECT_EQ(parsed("TIMELINE_HISTORY 4294967295"),
            ReplicationCommand(ReadTimelineHistory{TimelineId(4294967295)}));
  EXPECT_EQ(refused("TIMELINE_HISTORY 0"), "42601 invalid timeline 0");
  EXPECT_EQ(refused("TIMELINE_HISTORY 4294967296"), "42601 invalid timeline 4294967296");
  EXPECT_EQ(refused("TIMELINE_HISTORY x"), "42601 syntax error");
}

TEST(ReplicationCommand, CreateSlotInBothSyntaxes) {
  const CreateReplicationSlot plain{"s", SlotLife::kPersistent, ReserveWal::kNo};
  const CreateReplicationSlot reserving{"s", SlotLife::kPersistent, ReserveWal::kYes};
  const CreateReplicationSlot temporary{"s", SlotLife::kTemporary, ReserveWal::kYes};
  EXPECT_EQ(parsed("CREATE_REPLICATION_SLOT \"s\" PHYSICAL"), ReplicationCommand(plain));
  EXPECT_EQ(parsed("CREATE_REPLICATION_SLOT s PHYSICAL RESERVE_WAL"), ReplicationCommand(reserving));
  EXPECT_EQ(parsed("CREATE_REPLICATION_SLOT s TEMPORARY PHYSICAL RESERVE_WAL"),
            ReplicationCommand(temporary));
  EXPECT_EQ(parsed("CREATE_REPLICATION_SLOT \"s\" TEMPORARY PHYSICAL (RESERVE_WAL)"),
            ReplicationCommand(temporary));
  for (const char* value : {"true", "'on'", "1", "TRUE"}) {
    EXPECT_EQ(parsed(fmt::format("CREATE_REPLICATION_SLOT s PHYSICAL ( reserve_wal {} );", value)),
              ReplicationCommand(reserving));
  }
  for (const char* value : {"false", "'off'", "0"}) {
    EXPECT_EQ(parsed(fmt::format("CREATE_REPLICATION_SLOT s PHYSICAL (RESERVE_WAL {})", value)),
              ReplicationCommand(plain));
  }
}

TEST(ReplicationCommand, WhatCannotBeASlotIsRefused) {
  EXPECT_EQ(refused("CREATE_REPLICATION_SLOT s LOGICAL pgoutput"),
            "0A000 logical replication slots are not served here");
  EXPECT_EQ(refused("CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL x (SNAPSHOT 'nothing')"),
            "0A000 logical replication slots are not served here");
  EXPECT_EQ(refused("CREATE_REPLICATION_SLOT"), "42601 syntax error");
  EXPECT_EQ(refused("CREATE_REPLICATION_SLOT 's' PHYSICAL"), "42601 syntax error");
  EXPECT_EQ(refused("CREATE_REPLICATION_SLOT s"), "42601 syntax error");
  EXPECT_EQ(refused("CREATE_REPLICATION_SLOT s PHYSICAL ("), "42601 syntax error");
  EXPECT_EQ(refused("CREATE_REPLICATION_SLOT s PHYSICAL ()"), "42601 syntax error");
  EXPECT_EQ(refused("CREATE_REPLICATION_SLOT s PHYSICAL (RESERVE_WAL"),
            "42601 reserve_wal requires a Boolean value");
  EXPECT_EQ(refused("CREATE_REPLICATION_SLOT s PHYSICAL (RESERVE_WAL,"),
            "42601 conflicting or redundant options");
  EXPECT_EQ(refused("CREATE_REPLICATION_SLOT s PHYSICAL (failover)"), "42601 unrecognized option: failover");
  EXPECT_EQ(refused("CREATE_REPLICATION_SLOT s PHYSICAL RESERVE_WAL RESERVE_WAL"),
            "42601 conflicting or redundant options");
  EXPECT_EQ(refused("CREATE_REPLICATION_SLOT \"s PHYSICAL"), "42601 unterminated quoted string");
}

TEST(ReplicationCommand, NamesInQuotesKeepTheirCase) {
  EXPECT_EQ(parsed("READ_REPLICATION_SLOT \"A \"\"b\""), ReplicationCommand(ReadReplicationSlot{"A \"b"}));
  EXPECT_EQ(parsed("READ_REPLICATION_SLOT AB"), ReplicationCommand(ReadReplicationSlot{"ab"}));
}

TEST(ReplicationCommand, DropMayWait) {
  EXPECT_EQ(parsed("DROP_REPLICATION_SLOT s"), ReplicationCommand(DropReplicationSlot{"s"}));
  EXPECT_EQ(parsed("DROP_REPLICATION_SLOT \"s\" WAIT"),
            ReplicationCommand(DropReplicationSlot{"s", WhenActive::kWait}));
}

TEST(ReplicationCommand, StartAsReceiversOfAllMajorsSayIt) {
  const Lsn start(0x16'0300'0000);
  EXPECT_EQ(parsed("START_REPLICATION 16/3000000"), ReplicationCommand(StartReplication{{}, start, {}}));
  EXPECT_EQ(parsed("START_REPLICATION SLOT \"pgstandby1\" 16/3000000 TIMELINE 3"),
            ReplicationCommand(StartReplication{"pgstandby1", start, TimelineId(3)}));
  EXPECT_EQ(parsed("START_REPLICATION SLOT s PHYSICAL 16/3000000 TIMELINE 1;"),
            ReplicationCommand(StartReplication{"s", start, TimelineId(1)}));
  EXPECT_EQ(parsed("START_REPLICATION PHYSICAL aB/cD"),
            ReplicationCommand(StartReplication{{}, Lsn(0xAB'0000'00CD), {}}));
}

TEST(ReplicationCommand, AStartThatIsNoPositionIsRefused) {
  EXPECT_EQ(refused("START_REPLICATION"), "42601 syntax error");
  EXPECT_EQ(refused("START_REPLICATION 16"), "42601 syntax error");
  EXPECT_EQ(refused("START_REPLICATION 16/"), "42601 syntax error");
  EXPECT_EQ(refused("START_REPLICATION 0/100000000"), "42601 invalid streaming start location");
  EXPECT_EQ(refused("START_REPLICATION 0/1 TIMELINE 0"), "42601 invalid timeline 0");
  EXPECT_EQ(refused("START_REPLICATION SLOT s LOGICAL 0/1 (a 'b')"),
            "0A000 logical replication is not served here");
}

TEST(ReplicationCommand, WhatNeedsADatabaseIsRefusedClearly) {
  const std::string sql = "0A000 cannot execute SQL commands in WAL sender for physical replication";
  for (const char* text : {"", ";", "SELECT 1", "/* x */ SELECT 1", "\"SHOW\" x", "1", "SHO W"}) {
    EXPECT_EQ(refused(text), sql) << text;
  }
  EXPECT_EQ(refused("BASE_BACKUP ( LABEL 'x' )"),
            "0A000 this server has WAL only and cannot make a base backup");
  EXPECT_EQ(refused("UPLOAD_MANIFEST"), "0A000 this server has WAL only and cannot make a base backup");
  EXPECT_EQ(refused("ALTER_REPLICATION_SLOT s (failover)"), "0A000 replication slots cannot be altered here");
}

}  // namespace
}  // namespace standfast::pg
