#include "wal/serve_test_support.h"

namespace standfast::wal {
namespace {

using namespace std::string_view_literals;

const pg::Lsn kStart(0x2000000);

/// Up to 0/2005000 on timeline 1.
ServeSession::Options small_store() {
  auto options = Dialogue::options();
  options.store.durable_end = pg::Lsn(0x2005000);
  return options;
}
/// On timeline 3 up to 0/4000100; 1 was left at 0/2001000, 2 at 0/3000000.
serve::StoreView third_timeline() {
  return {.timeline = pg::TimelineId(3),
          .durable_end = pg::Lsn(0x4000100),
          .ancestors = {{pg::TimelineId(1), pg::Lsn(0x2001000)}, {pg::TimelineId(2), pg::Lsn(0x3000000)}}};
}
ServeSession::Options with_history() {
  auto options = Dialogue::options();
  options.store = third_timeline();
  return options;
}

TEST(ServeStream, WhatIsDurableIsSentAndThenWhatFollows) {
  Dialogue talk(small_store());
  talk.log_in();
  talk.query("START_REPLICATION 0/2000000 TIMELINE 1");
  talk.wal_read();
  talk.store({.timeline = pg::TimelineId(1), .durable_end = pg::Lsn(0x2005028)});
  talk.store({.timeline = pg::TimelineId(1), .durable_end = pg::Lsn(0x2006000)});
  talk.wal_read();
  talk.wal_read();
  EXPECT_EQ(talk.take_log(), R"(
> START_REPLICATION 0/2000000 TIMELINE 1
< W \0\0\0
ReadWal 1 0/2000000 0/2005000
< w 0/2000000 +20480 of 0/2005000
ReadWal 1 0/2005000 0/2005028
< w 0/2005000 +40 of 0/2006000
ReadWal 1 0/2005028 0/2006000
< w 0/2005028 +4056 of 0/2006000
)");
  EXPECT_TRUE(talk.session.stream_status()->is_caught_up);
}

TEST(ServeStream, ABatchEndsAtAPageOrASegmentAndIsNeverLarger) {
  auto options = Dialogue::options();
  options.store.durable_end = pg::Lsn(0x3000100);
  Dialogue talk(options);
  talk.log_in();
  talk.query("START_REPLICATION 0/2FC0010");
  talk.wal_read();
  talk.wal_read();
  talk.all_sent();
  talk.wal_read();
  EXPECT_EQ(talk.take_log(), R"(
> START_REPLICATION 0/2FC0010
< W \0\0\0
ReadWal 1 0/2FC0010 0/2FE0000
< w 0/2FC0010 +131056 of 0/3000100
ReadWal 1 0/2FE0000 0/3000000
< w 0/2FE0000 +131072 of 0/3000100
ReadWal 1 0/3000000 0/3000100
< w 0/3000000 +256 of 0/3000100
)");
}

TEST(ServeStream, ASmallBatchDoesNotReachIntoTheNextSegmentEither) {
  auto options = Dialogue::options();
  options.store.durable_end = pg::Lsn(0x3000100);
  Dialogue talk(options);
  talk.log_in();
  talk.query("START_REPLICATION 0/2FF0010");
  EXPECT_TRUE(talk.log.ends_with("ReadWal 1 0/2FF0010 0/3000000\n")) << talk.log;
}

TEST(ServeStream, ASlowReaderIsNotReadFor) {
  Dialogue talk;
  talk.log_in();
  talk.all_sent();
  talk.query("START_REPLICATION 0/1000000");
  int batches = 0;
  while (talk.log.ends_with("ReadWal 1 " + talk.session.stream_status()->sent.to_string() + " " +
                            (talk.session.stream_status()->sent + ServeSession::kMaxBatchBytes).to_string() +
                            "\n")) {
    talk.wal_read();
    ++batches;
  }
  EXPECT_EQ(batches, 2);
  EXPECT_LE(talk.unsent_bytes, ServeSession::kWalGateBytes + ServeSession::kMaxBatchBytes);
  talk.log.clear();
  talk.session.on_sent(talk.unsent_bytes - ServeSession::kWalGateBytes + 1, talk.at(0));
  talk.perform();
  EXPECT_EQ(talk.take_log(), "\nReadWal 1 0/1040000 0/1060000\n");
}

TEST(ServeStream, AStatusMovesTheSlotAndARequestIsAnsweredAtOnce) {
  Dialogue talk(small_store());
  talk.log_in();
  talk.query("START_REPLICATION SLOT s 0/2005000 TIMELINE 1");
  talk.slot({});
  talk.status(pg::Lsn(0x2005000), pg::Lsn());
  talk.status(pg::Lsn(0x2005000), pg::Lsn(0x2004000), pg::ReplyRequest::kYes);
  talk.status(pg::Lsn(0x9000000), pg::Lsn(0x9000000));
  talk.client("h",
              pg::encode_message('d', pg::encode_hot_standby_feedback({.xmin = 1000, .catalog_xmin = 990})));
  EXPECT_EQ(talk.take_log(), R"(
> START_REPLICATION SLOT s 0/2005000 TIMELINE 1
AcquireSlot s
< W \0\0\0
> r 0/2005000 0/0
StandbyPositions 0/2005000 0/0 0/0
> r 0/2005000 0/2004000 reply
StandbyPositions 0/2005000 0/2004000 0/0
AdvanceSlot 1 0/2004000
< d k 0/2005000
> r 0/9000000 0/9000000
StandbyPositions 0/9000000 0/9000000 0/0
AdvanceSlot 1 0/2005000
> h
StandbyFeedback 1000 990
)");
}

TEST(ServeStream, AStartThatCannotBeIsRefusedAndTheSlotLetGo) {
  const auto answer = [](const std::string& command) {
    Dialogue talk(with_history());
    talk.log_in();
    talk.query(command);
    if (talk.log.ends_with("AcquireSlot s\n")) talk.slot({});
    EXPECT_TRUE(talk.session.wants_input() && !talk.session.stream_status());
    return talk.log.substr(talk.log.find('\n') + 1);
  };
  EXPECT_EQ(answer("START_REPLICATION SLOT s 0/4000101"), R"(AcquireSlot s
ReleaseSlot
< E ERROR XX000 requested starting point 0/4000101 is ahead of the WAL flush position of this server 0/4000100
< Z I
)");
  EXPECT_EQ(answer("START_REPLICATION 0/2000000 TIMELINE 4"),
            R"(< E ERROR XX000 requested timeline 4 is not in this server's history
< Z I
)");
  EXPECT_EQ(
      answer("START_REPLICATION 0/2001001 TIMELINE 1"),
      "< E ERROR XX000 requested starting point 0/2001001 on timeline 1 is not in this server's history "
      "detail: This server's history forked from timeline 1 at 0/2001000.\n< Z I\n");
}

TEST(ServeStream, WalThatIsGoneEndsTheStreamNotTheSession) {
  Dialogue talk;
  talk.log_in();
  talk.query("START_REPLICATION SLOT s 0/1000000");
  talk.slot({});
  talk.session.on_wal_gone();
  talk.perform();
  talk.client("what a standby still had under way", pg::encode_message('d', "x"));
  talk.query("SHOW data_directory_mode");
  EXPECT_EQ(talk.take_log(), R"(
> START_REPLICATION SLOT s 0/1000000
AcquireSlot s
< W \0\0\0
ReadWal 1 0/1000000 0/1020000
ReleaseSlot
< E ERROR 58P01 requested WAL segment 000000010000000000000001 has already been removed hint: Let the standby fetch it elsewhere (restore_command), or make a new copy of it.
< Z I
> what a standby still had under way
> SHOW data_directory_mode
< T data_directory_mode
< D 0700
< C SHOW\0
< Z I
)");
}

TEST(ServeStream, ASlotThatIsLostEndsItsStreamAndNobodyElses) {
  Dialogue talk;
  talk.log_in();
  talk.query("START_REPLICATION 0/3000000");
  talk.log.clear();
  talk.session.on_slot_lost();
  talk.perform();
  EXPECT_EQ(talk.take_log(), "\n");
  Dialogue holder;
  holder.log_in();
  holder.query("START_REPLICATION SLOT s 0/3000000");
  holder.slot({});
  holder.log.clear();
  holder.session.on_slot_lost();
  holder.perform();
  EXPECT_EQ(holder.take_log(), R"(
< E FATAL 55000 terminating the stream: its replication slot held back more WAL than its bound allows hint: Make a new copy of the standby; then drop the slot and create it again.
End: terminating the stream: its replication slot held back more WAL than its bound allows
)");
}

TEST(ServeStream, AnOldTimelineEndsAtItsFork) {
  Dialogue talk(with_history());
  talk.log_in();
  talk.query("START_REPLICATION SLOT s 0/2000000 TIMELINE 1");
  talk.slot({});
  talk.wal_read();
  talk.status(pg::Lsn(0x2001000), pg::Lsn(0x2001000), pg::ReplyRequest::kYes);
  talk.copy_done();
  talk.query("START_REPLICATION SLOT s 0/2000000 TIMELINE 2");
  EXPECT_EQ(talk.take_log(), R"(
> START_REPLICATION SLOT s 0/2000000 TIMELINE 1
AcquireSlot s
< W \0\0\0
ReadWal 1 0/2000000 0/2001000
< w 0/2000000 +4096 of 0/2001000
< c
> r 0/2001000 0/2001000 reply
StandbyPositions 0/2001000 0/2001000 0/0
AdvanceSlot 1 0/2001000
> c
ReleaseSlot
< T next_tli:int8 next_tli_startpos
< D 2 0/2001000
< C START_STREAMING\0
< C START_REPLICATION\0
< Z I
> START_REPLICATION SLOT s 0/2000000 TIMELINE 2
AcquireSlot s
)");
}

TEST(ServeStream, AFlushBeyondTheForkMovesTheSlotToTheFork) {
  Dialogue talk(with_history());
  talk.log_in();
  talk.query("START_REPLICATION SLOT s 0/2000000 TIMELINE 1");
  talk.slot({});
  talk.log.clear();
  talk.status(pg::Lsn(0x2003000), pg::Lsn(0x2003000));  // from elsewhere, after we had left it
  EXPECT_EQ(talk.take_log(), R"(
> r 0/2003000 0/2003000
StandbyPositions 0/2003000 0/2003000 0/0
AdvanceSlot 1 0/2001000
)");
}

TEST(ServeStream, StartingExactlyAtTheForkIsToldWhereToGoOn) {
  Dialogue talk(with_history());
  talk.log_in();
  talk.query("START_REPLICATION SLOT s 0/3000000 TIMELINE 2");
  talk.slot({});
  EXPECT_EQ(talk.take_log(), R"(
> START_REPLICATION SLOT s 0/3000000 TIMELINE 2
AcquireSlot s
ReleaseSlot
< T next_tli:int8 next_tli_startpos
< D 3 0/3000000
< C START_STREAMING\0
< C START_REPLICATION\0
< Z I
)");
}

TEST(ServeStream, ATimelineThatIsLeftWhileItStreamsEndsAtItsFork) {
  Dialogue talk(small_store());
  talk.log_in();
  talk.query("START_REPLICATION 0/2000000 TIMELINE 1");
  talk.store(third_timeline());  // while a read goes on beyond the fork
  talk.wal_read();
  talk.wal_read();
  talk.copy_done();
  EXPECT_EQ(talk.take_log(), R"(
> START_REPLICATION 0/2000000 TIMELINE 1
< W \0\0\0
ReadWal 1 0/2000000 0/2005000
ReadWal 1 0/2000000 0/2001000
< w 0/2000000 +4096 of 0/2001000
< c
> c
< T next_tli:int8 next_tli_startpos
< D 2 0/2001000
< C START_STREAMING\0
< C START_REPLICATION\0
< Z I
)");
}

TEST(ServeStream, AStoreThatLeavesItsHistoryEndsTheStream) {
  Dialogue talk(small_store());
  talk.log_in();
  talk.query("START_REPLICATION 0/2005000");
  talk.log.clear();
  talk.store({.timeline = pg::TimelineId(9), .durable_end = pg::Lsn(0x9000000)});
  EXPECT_EQ(talk.take_log(), R"(
< E ERROR XX000 requested timeline 1 is not in this server's history
< Z I
)");
}

TEST(ServeStream, TheClientEndsTheStreamAtOnce) {
  Dialogue talk;
  talk.log_in();
  talk.query("START_REPLICATION 0/1000000");
  talk.copy_done();
  EXPECT_FALSE(talk.session.wants_input()) << "a read is still open";
  talk.wal_read();
  talk.query("SHOW data_directory_mode");
  EXPECT_EQ(talk.take_log(), R"(
> START_REPLICATION 0/1000000
< W \0\0\0
ReadWal 1 0/1000000 0/1020000
> c
< c
< C START_STREAMING\0
< C START_REPLICATION\0
< Z I
> SHOW data_directory_mode
< T data_directory_mode
< D 0700
< C SHOW\0
< Z I
)");
}

TEST(ServeStream, ASilentPeerIsAskedAndThenGivenUp) {
  Dialogue talk(small_store());
  talk.log_in();
  talk.query("START_REPLICATION 0/2005000");
  talk.log.clear();
  EXPECT_EQ(talk.session.next_wakeup(), talk.at(30).now);
  talk.time(29);
  EXPECT_EQ(talk.take_log(), "\n");
  talk.time(30);
  EXPECT_EQ(talk.take_log(), "\n< d k 0/2005000 reply\n");
  EXPECT_EQ(talk.session.next_wakeup(), talk.at(60).now);
  talk.time(50);
  EXPECT_EQ(talk.take_log(), "\n") << "asked once";
  talk.status(kStart, kStart);
  talk.log.clear();
  EXPECT_EQ(talk.session.next_wakeup(), talk.at(80).now);
  talk.time(80);
  EXPECT_EQ(talk.take_log(), "\n< d k 0/2005000 reply\n");
  talk.time(110);
  EXPECT_EQ(talk.take_log(), "\nEnd: terminating walsender due to replication timeout\n");
}

TEST(ServeStream, WithoutATimeoutNobodyIsAsked) {
  auto options = small_store();
  options.wal_sender_timeout = base::Seconds(0);
  Dialogue talk(options);
  talk.log_in();
  talk.query("START_REPLICATION 0/2005000");
  talk.log.clear();
  EXPECT_FALSE(talk.session.next_wakeup());
  talk.time(100000);
  EXPECT_EQ(talk.take_log(), "\n");
}

TEST(ServeStream, AStopSendsWhatIsDurableAndWaitsUntilItIsConfirmed) {
  Dialogue talk(small_store());
  talk.log_in();
  talk.query("START_REPLICATION 0/2000000");
  talk.stop();
  talk.wal_read();
  talk.status(pg::Lsn(0x2005000), pg::Lsn(0x2004000));
  talk.status(pg::Lsn(0x2005000), pg::Lsn(0x2005000));
  EXPECT_EQ(talk.take_log(), R"(
> START_REPLICATION 0/2000000
< W \0\0\0
ReadWal 1 0/2000000 0/2005000
< w 0/2000000 +20480 of 0/2005000
< d k 0/2005000 reply
> r 0/2005000 0/2004000
StandbyPositions 0/2005000 0/2004000 0/0
< d k 0/2005000 reply
> r 0/2005000 0/2005000
StandbyPositions 0/2005000 0/2005000 0/0
< C COPY 0\0
End: this server stops
)");
}

TEST(ServeStream, AStopDoesNotWaitForever) {
  Dialogue talk(small_store());
  talk.log_in();
  talk.query("START_REPLICATION 0/2005000");
  talk.log.clear();
  talk.stop();
  EXPECT_EQ(talk.session.next_wakeup(), talk.at(10).now);
  talk.time(10);
  EXPECT_EQ(talk.take_log(), R"(
< d k 0/2005000 reply
< C COPY 0\0
End: this server stops
)");
}

TEST(ServeStream, WhatNoStandbySaysEndsTheSession) {
  const auto end_of = [](const std::string& bytes) {
    Dialogue talk(small_store());
    talk.log_in();
    talk.query("START_REPLICATION 0/2005000");
    talk.log.clear();
    talk.receive(bytes);
    return talk.log.substr(talk.log.find("End"));
  };
  EXPECT_EQ(end_of(pg::encode_message('Q', "SHOW x\0"sv)), "End: invalid standby message type 81\n");
  EXPECT_EQ(end_of(pg::encode_message('f', "x\0"sv)), "End: invalid standby message type 102\n");
  EXPECT_EQ(end_of(pg::encode_message('d', "")), "End: an empty standby message\n");
  EXPECT_EQ(end_of(pg::encode_message('d', "r1234567")), "End: a standby status update is cut off\n");
  EXPECT_EQ(end_of(pg::encode_message('d', "z")), "End: unexpected standby message of kind 122\n");
  EXPECT_EQ(end_of(pg::encode_message('d', std::string(1025, 'r'))), "End: invalid message length: 1029\n");
  EXPECT_EQ(end_of(pg::encode_message('X', "")), "End: the standby ended the session\n");
}

TEST(ServeStream, WhoAsksAndNeverReadsIsBounded) {
  Dialogue talk(small_store());
  talk.log_in();
  talk.query("START_REPLICATION 0/2005000");
  const std::string ask = pg::encode_message(
      'd',
      pg::encode_standby_status({.write = kStart, .flush = kStart, .reply_request = pg::ReplyRequest::kYes}));
  int asked = 0;
  for (; talk.session.wants_input() && asked < 1000000; ++asked) talk.receive(ask);
  EXPECT_LT(asked, 1000000);
  talk.log.clear();
  talk.time(60);
  EXPECT_EQ(talk.take_log(), "\nEnd: terminating walsender due to replication timeout\n");
}

}  // namespace
}  // namespace standfast::wal
