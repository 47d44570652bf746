#include "wal/serve_test_support.h"

namespace standfast::wal {
namespace {

using namespace std::string_view_literals;
using serve::SlotOutcome;

TEST(ServeCommands, AReceiverLooksAround) {
  Dialogue talk;
  talk.log_in();
  talk.query("IDENTIFY_SYSTEM");
  talk.query("SHOW wal_segment_size");
  talk.query("SHOW data_directory_mode");
  talk.query("SHOW transaction_read_only");
  talk.query("SHOW server_version");
  EXPECT_EQ(talk.take_log(), R"(
> IDENTIFY_SYSTEM
< T systemid timeline:int8 xlogpos dbname
< D 7711063624979300494 1 0/3000000 NULL
< C IDENTIFY_SYSTEM\0
< Z I
> SHOW wal_segment_size
< T wal_segment_size
< D 16MB
< C SHOW\0
< Z I
> SHOW data_directory_mode
< T data_directory_mode
< D 0700
< C SHOW\0
< Z I
> SHOW transaction_read_only
< T transaction_read_only
< D on
< C SHOW\0
< Z I
> SHOW server_version
< T server_version
< D 15.18
< C SHOW\0
< Z I
)");
}

TEST(ServeCommands, SegmentSizesAreShownAsPostgreSQLShowsThem) {
  auto options = Dialogue::options();
  options.facts.segment_bytes = 1024 * kMegabyte;
  Dialogue talk(options);
  talk.log_in();
  talk.query("SHOW wal_segment_size");
  EXPECT_NE(talk.log.find("< D 1GB\n"), std::string::npos) << talk.log;
}

TEST(ServeCommands, AHistoryFileIsAskedForAndHandedOn) {
  Dialogue talk;
  talk.log_in();
  talk.query("TIMELINE_HISTORY 2");
  EXPECT_FALSE(talk.session.wants_input());
  talk.session.on_history("1\t0/3000000\tno reason\n");
  talk.perform();
  talk.query("TIMELINE_HISTORY 1");
  talk.session.on_history(std::nullopt);
  talk.perform();
  EXPECT_EQ(talk.take_log(), R"(
> TIMELINE_HISTORY 2
ReadHistory 2
< T filename content
< D 00000002.history 1\90/3000000\9no reason\10
< C TIMELINE_HISTORY\0
< Z I
> TIMELINE_HISTORY 1
ReadHistory 1
< E ERROR 58P01 could not open file "pg_wal/00000001.history": No such file or directory
< Z I
)");
}

TEST(ServeCommands, SlotsAreMadeReadAndDropped) {
  Dialogue talk;
  talk.log_in();
  talk.query("CREATE_REPLICATION_SLOT \"a\" TEMPORARY PHYSICAL RESERVE_WAL");
  talk.slot({});
  talk.query("READ_REPLICATION_SLOT a");
  talk.slot({.restart = pg::Lsn(0x174B288), .restart_timeline = pg::TimelineId(1)});
  talk.query("READ_REPLICATION_SLOT b");
  talk.slot({});
  talk.query("READ_REPLICATION_SLOT c");
  talk.slot({.outcome = SlotOutcome::kMissing});
  talk.query("DROP_REPLICATION_SLOT a WAIT");
  talk.slot({});
  EXPECT_EQ(talk.take_log(), R"(
> CREATE_REPLICATION_SLOT "a" TEMPORARY PHYSICAL RESERVE_WAL
CreateSlot a temporary reserve
< T slot_name consistent_point snapshot_name output_plugin
< D a 0/0 NULL NULL
< C CREATE_REPLICATION_SLOT\0
< Z I
> READ_REPLICATION_SLOT a
ReadSlot a
< T slot_type restart_lsn restart_tli:int8
< D physical 0/174B288 1
< C READ_REPLICATION_SLOT\0
< Z I
> READ_REPLICATION_SLOT b
ReadSlot b
< T slot_type restart_lsn restart_tli:int8
< D physical NULL NULL
< C READ_REPLICATION_SLOT\0
< Z I
> READ_REPLICATION_SLOT c
ReadSlot c
< T slot_type restart_lsn restart_tli:int8
< D NULL NULL NULL
< C READ_REPLICATION_SLOT\0
< Z I
> DROP_REPLICATION_SLOT a WAIT
DropSlot a wait
< C DROP_REPLICATION_SLOT\0
< Z I
)");
}

TEST(ServeCommands, ASlotThatCannotBeHadIsSaidAsPostgreSQLSaysIt) {
  const auto error_of = [](SlotOutcome outcome) {
    Dialogue talk;
    talk.log_in();
    talk.query("START_REPLICATION SLOT \"s\" 0/1000000 TIMELINE 1");
    EXPECT_TRUE(talk.log.ends_with("AcquireSlot s\n"));
    talk.log.clear();
    talk.slot({.outcome = outcome, .detail = "why"});
    EXPECT_TRUE(talk.log.ends_with("< Z I\n"));
    EXPECT_TRUE(talk.session.wants_input());
    return talk.log.substr(0, talk.log.find('\n'));
  };
  EXPECT_EQ(error_of(SlotOutcome::kMissing), "< E ERROR 42704 replication slot \"s\" does not exist");
  EXPECT_EQ(error_of(SlotOutcome::kActive),
            "< E ERROR 55006 replication slot \"s\" is active for another connection");
  EXPECT_EQ(error_of(SlotOutcome::kExists), "< E ERROR 42710 replication slot \"s\" already exists");
  EXPECT_TRUE(error_of(SlotOutcome::kLost)
                  .starts_with("< E ERROR 55000 can no longer access replication slot \"s\" detail: "));
  EXPECT_TRUE(
      error_of(SlotOutcome::kTooMany).starts_with("< E ERROR 53400 all replication slots are in use hint: "));
  EXPECT_EQ(error_of(SlotOutcome::kFailed),
            "< E ERROR 58030 replication slot \"s\" could not be changed detail: why");
}

TEST(ServeCommands, ANameThatIsNoSlotsNeverReachesTheStore) {
  for (const char* name : {"../../etc/passwd", "Bad", "", "a b"}) {
    for (const char* command : {"CREATE_REPLICATION_SLOT \"{}\" PHYSICAL", "READ_REPLICATION_SLOT \"{}\"",
                                "DROP_REPLICATION_SLOT \"{}\"", "START_REPLICATION SLOT \"{}\" 0/1000000"}) {
      Dialogue talk;
      talk.log_in();
      talk.query(fmt::format(fmt::runtime(command), name));
      EXPECT_EQ(talk.log.find("Slot "), std::string::npos) << talk.log;
      EXPECT_TRUE(talk.log.ends_with("< Z I\n")) << talk.log;
    }
  }
}

TEST(ServeCommands, AnErrorLeavesTheSessionAsItWas) {
  Dialogue talk;
  talk.log_in();
  talk.query("SELECT 1");
  talk.query("CREATE_REPLICATION_SLOT x LOGICAL pgoutput");
  talk.query("SHOW nosuch");
  talk.query("START_REPLICATION");
  talk.client("a query of two strings", pg::encode_message('Q', "a\0b\0"sv));
  talk.query("SHOW data_directory_mode");
  EXPECT_EQ(talk.take_log(), R"(
> SELECT 1
< E ERROR 0A000 cannot execute SQL commands in WAL sender for physical replication hint: Connect to the primary or a standby for SQL.
< Z I
> CREATE_REPLICATION_SLOT x LOGICAL pgoutput
< E ERROR 0A000 logical replication slots are not served here hint: Create the logical slot on the primary.
< Z I
> SHOW nosuch
< E ERROR 42704 unrecognized configuration parameter "nosuch"
< Z I
> START_REPLICATION
< E ERROR 42601 syntax error
< Z I
> a query of two strings
< E ERROR 08P01 invalid message format
< Z I
> SHOW data_directory_mode
< T data_directory_mode
< D 0700
< C SHOW\0
< Z I
)");
}

TEST(ServeCommands, TheExtendedProtocolIsRefusedUntilSync) {
  Dialogue talk;
  talk.log_in();
  talk.client("P B E", pg::encode_message('P', "\0x\0"sv) + pg::encode_message('B', "\0\0"sv) +
                           pg::encode_message('E', "\0"sv));
  talk.query("IDENTIFY_SYSTEM");
  talk.client("S", pg::encode_message('S', ""));
  talk.client("F", pg::encode_message('F', "x"));
  talk.client("leftovers of a stream",
              pg::encode_message('d', "x") + pg::encode_message('c', "") + pg::encode_message('f', ""));
  EXPECT_EQ(talk.take_log(), R"(
> P B E
< E ERROR 08P01 extended query protocol not supported in a replication connection
> IDENTIFY_SYSTEM
> S
< Z I
> F
< E ERROR 08P01 extended query protocol not supported in a replication connection
< Z I
> leftovers of a stream
)");
}

TEST(ServeCommands, WhatIsNoMessageEndsTheSession) {
  const auto end_of = [](const std::string& bytes) {
    Dialogue talk;
    talk.log_in();
    talk.receive(bytes);
    return talk.log.substr(talk.log.find("< E"));
  };
  EXPECT_EQ(end_of("?....."),
            "< E FATAL 08P01 invalid frontend message type 63\nEnd: invalid frontend message type 63\n");
  EXPECT_EQ(end_of(pg::encode_message('p', "")),
            "< E FATAL 08P01 invalid frontend message type 112\nEnd: invalid frontend message type 112\n");
  EXPECT_EQ(end_of(pg::encode_message('Q', std::string(16385, 'x'))),
            "< E FATAL 08P01 invalid message length: 16389\nEnd: invalid message length: 16389\n");
}

TEST(ServeCommands, TheNextCommandWaitsForTheAnswerToThisOne) {
  Dialogue talk;
  talk.log_in();
  const std::string second = pg::encode_message('Q', "SHOW data_directory_mode\0"sv);
  talk.client("two commands", pg::encode_message('Q', "TIMELINE_HISTORY 2\0"sv) + second);
  EXPECT_EQ(talk.left, second);
  talk.session.on_history("x");
  talk.receive(talk.left);
  EXPECT_EQ(talk.take_log(), R"(
> two commands
left 30
ReadHistory 2
< T filename content
< D 00000002.history x
< C TIMELINE_HISTORY\0
< Z I
< T data_directory_mode
< D 0700
< C SHOW\0
< Z I
)");
}

TEST(ServeCommands, AStoreWithoutWalSaysSo) {
  auto options = Dialogue::options();
  options.store = {};
  Dialogue talk(options);
  talk.log_in();
  talk.query("IDENTIFY_SYSTEM");
  talk.query("START_REPLICATION 0/1000000");
  EXPECT_EQ(talk.take_log(), R"(
> IDENTIFY_SYSTEM
< E ERROR 57P03 this server has received no WAL yet
< Z I
> START_REPLICATION 0/1000000
< E ERROR 57P03 this server has received no WAL yet
< Z I
)");
}

TEST(ServeCommands, WhoNeverReadsItsAnswersIsBoundedAndEnds) {
  Dialogue talk;
  talk.log_in();
  talk.all_sent();
  const std::string query = pg::encode_message('Q', "IDENTIFY_SYSTEM\0"sv);
  std::size_t asked = 0;
  for (; talk.session.wants_input() && asked < 100000; ++asked) talk.receive(query);
  EXPECT_LT(asked, 100000U);
  EXPECT_LE(talk.unsent_bytes, ServeSession::kInputGateBytes + 1000);
  talk.log.clear();
  talk.time(59);
  EXPECT_EQ(talk.log, "");
  EXPECT_EQ(talk.session.next_wakeup(), talk.at(60).now);
  talk.time(60);
  EXPECT_EQ(talk.log, "End: the client does not read its answers\n");
}

TEST(ServeCommands, AStopEndsWhoDoesNotStream) {
  Dialogue talk;
  talk.log_in();
  talk.stop();
  EXPECT_EQ(talk.take_log(), R"(
< E FATAL 57P01 terminating connection due to administrator command
End: terminating connection due to administrator command
)");
}

TEST(ServeCommands, GoodbyeEndsIt) {
  Dialogue talk;
  talk.log_in();
  talk.client("X", pg::encode_message('X', ""));
  EXPECT_EQ(talk.take_log(), "\n> X\nEnd: the client ended the session\n");
}

}  // namespace
}  // namespace standfast::wal
