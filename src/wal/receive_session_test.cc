#include "wal/receive_session.h"

#include <random>

#include <gtest/gtest.h>

namespace standfast::wal {
namespace {

constexpr std::uint64_t kSegmentBytes = 1U << 20U;
const pg::Lsn kStart(5 * kSegmentBytes);
const base::Clock::time_point kNow{};

std::string wal_message(pg::Lsn start, std::string_view data) {
  std::string bytes = "w";
  base::append_u64_be(bytes, start.value());
  base::append_u64_be(bytes, start.value() + data.size());
  base::append_u64_be(bytes, 0);
  return bytes + std::string(data);
}

std::string keepalive(bool wants_reply) {
  std::string bytes = "k";
  base::append_u64_be(bytes, 0);
  base::append_u64_be(bytes, 0);
  base::append_u8(bytes, wants_reply ? 1 : 0);
  return bytes;
}

/// Performs the actions on a string, and checks what a disk would need of them.
class Disk {
 public:
  explicit Disk(ReceiveSession& session) : session_(session) {}

  void perform(const std::vector<Action>& actions) {
    for (const Action& action : actions) {
      if (const auto* write = std::get_if<Write>(&action)) {
        EXPECT_EQ(write->at.value(), kStart.value() + content.size());
        EXPECT_EQ(write->at.segment_start(kSegmentBytes),
                  pg::Lsn(write->at.value() + write->bytes.size() - 1).segment_start(kSegmentBytes));
        content += base::as_text(write->bytes);
      } else if (const auto* finish = std::get_if<FinishSegment>(&action)) {
        const pg::Lsn end = finish->segment_start + kSegmentBytes;
        EXPECT_EQ(end.value(), kStart.value() + content.size());
        log += "F";
        perform(session_.on_flushed({end, end}, kNow));
      } else if (std::holds_alternative<Flush>(action)) {
        log += "f";
        if (flushes_at_once) perform(session_.on_flushed({session_.written(), session_.written()}, kNow));
      } else if (std::holds_alternative<SendStatus>(action)) {
        log += "s";
        EXPECT_LE(session_.status().flush, session_.status().write);
        EXPECT_FALSE(session_.status().apply.is_valid()) << "nothing is replayed here";
      } else {
        log += "e";
      }
    }
  }
  std::string take_log() { return std::exchange(log, ""); }

  std::string content;
  std::string log;
  bool flushes_at_once = true;

 private:
  ReceiveSession& session_;
};

TEST(ReceiveSession, FirstStatusIsDueAtOnceAndThenEveryTenSeconds) {
  ReceiveSession session({kStart, kSegmentBytes}, kNow);
  Disk disk(session);
  disk.perform(session.on_time(kNow));
  EXPECT_EQ(disk.take_log(), "s");
  disk.perform(session.on_time(kNow + base::Seconds(9)));
  EXPECT_EQ(disk.take_log(), "");
  disk.perform(session.on_time(kNow + base::Seconds(10)));
  EXPECT_EQ(disk.take_log(), "s");
}

TEST(ReceiveSession, AKeepaliveThatAsksIsAnsweredOnlyAfterAFlush) {
  ReceiveSession session({kStart, kSegmentBytes}, kNow);
  Disk disk(session);
  disk.perform(session.on_time(kNow));
  disk.perform(*session.on_message(base::as_bytes(wal_message(kStart, "abc")), kNow));
  EXPECT_EQ(disk.take_log(), "s");
  EXPECT_EQ(session.status().write, kStart) << "it may wait in memory";
  EXPECT_EQ(session.status().flush, kStart);
  disk.perform(*session.on_message(base::as_bytes(keepalive(false)), kNow));
  EXPECT_EQ(disk.take_log(), "");
  disk.perform(*session.on_message(base::as_bytes(keepalive(true)), kNow));
  EXPECT_EQ(disk.take_log(), "fs");
  EXPECT_EQ(session.status().flush, kStart + 3);
}

TEST(ReceiveSession, ABusyStreamStillSendsItsStatusInTime) {
  ReceiveSession session({kStart, kSegmentBytes}, kNow);
  Disk disk(session);
  disk.perform(session.on_time(kNow));
  disk.perform(*session.on_message(base::as_bytes(wal_message(kStart, "abc")), kNow + base::Seconds(11)));
  EXPECT_EQ(disk.take_log(), "sfs");
}

TEST(ReceiveSession, MessagesOfAnySizeGiveTheSameSegments) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  std::string sent(3 * kSegmentBytes + 12345, '\0');
  for (char& c : sent) c = static_cast<char>(random());
  ReceiveSession session({kStart, kSegmentBytes}, kNow);
  Disk disk(session);
  disk.perform(session.on_time(kNow));
  for (std::size_t at = 0; at < sent.size();) {
    const std::size_t count = std::min<std::size_t>(1 + random() % (2 * kSegmentBytes), sent.size() - at);
    disk.perform(*session.on_message(base::as_bytes(wal_message(kStart + at, sent.substr(at, count))), kNow));
    at += count;
  }
  EXPECT_EQ(disk.content, sent);
  EXPECT_EQ(disk.take_log(), "sFFF");
  EXPECT_EQ(session.status().flush, kStart + 3 * kSegmentBytes);
}

TEST(ReceiveSession, TheStopEndsItOnceWhetherItComesBeforeOrAfterTheWal) {
  for (const bool stop_first : {true, false}) {
    ReceiveSession session({kStart, kSegmentBytes}, kNow);
    Disk disk(session);
    disk.perform(session.on_time(kNow));
    const std::string message = wal_message(kStart, "abcdef");
    if (stop_first) disk.perform(session.set_stop(kStart + 4));
    disk.perform(*session.on_message(base::as_bytes(message), kNow));
    if (!stop_first) disk.perform(session.set_stop(kStart + 4));
    EXPECT_EQ(disk.take_log(), "sfse");
    disk.perform(*session.on_message(base::as_bytes(wal_message(kStart + 6, "more")), kNow));
    disk.perform(*session.on_message(base::as_bytes(keepalive(true)), kNow + base::Seconds(20)));
    EXPECT_EQ(disk.take_log(), "");
    EXPECT_EQ(disk.content, "abcdef");
  }
}

TEST(ReceiveSession, AStopThatIsNotReachedWaits) {
  ReceiveSession session({kStart, kSegmentBytes}, kNow);
  EXPECT_TRUE(session.set_stop(kStart + 1).empty());
}

TEST(ReceiveSession, AGapOrARepetitionIsRefused) {
  for (const std::uint64_t start : {kStart.value() - 1, kStart.value() + 1}) {
    ReceiveSession session({kStart, kSegmentBytes}, kNow);
    const auto actions = session.on_message(base::as_bytes(wal_message(pg::Lsn(start), "x")), kNow);
    ASSERT_FALSE(actions);
    EXPECT_EQ(actions.error().code, base::ErrorCode::kProtocol);
  }
}

TEST(ReceiveSession, AFlushThatTakesItsTimeHoldsBackOnlyTheAnswer) {
  ReceiveSession session({kStart, kSegmentBytes}, kNow);
  Disk disk(session);
  disk.flushes_at_once = false;
  disk.perform(session.on_time(kNow));
  disk.perform(*session.on_message(base::as_bytes(wal_message(kStart, "abcdef")), kNow));
  disk.perform(*session.on_message(base::as_bytes(keepalive(true)), kNow));
  EXPECT_EQ(disk.take_log(), "sf");
  disk.perform(*session.on_message(base::as_bytes(wal_message(kStart + 6, "gh")), kNow));
  disk.perform(session.on_flushed({kStart + 3, kStart + 3}, kNow));
  EXPECT_EQ(disk.take_log(), "") << "what the server asked about is not all durable";
  disk.perform(session.on_time(kNow + base::Seconds(10)));
  EXPECT_EQ(disk.take_log(), "fs") << "a server that hears nothing would end the stream";
  EXPECT_EQ(session.status().flush, kStart + 3);
}

TEST(ReceiveSession, WhereEachFlushIsToldOnlyNewsAre) {
  ReceiveSession session({.start = kStart,
                          .segment_bytes = kSegmentBytes,
                          .report = ReceiveSession::Report::kEachFlush,
                          .acknowledged = pg::Lsn()},
                         kNow);
  Disk disk(session);
  disk.flushes_at_once = false;
  disk.perform(session.on_time(kNow));
  EXPECT_FALSE(session.status().flush.is_valid()) << "nothing is proven yet";
  disk.perform(*session.on_message(base::as_bytes(wal_message(kStart, "abcdef")), kNow));
  disk.perform(session.on_flushed({kStart + 6, kStart + 4}, kNow));
  EXPECT_EQ(session.status().flush, kStart + 4);
  disk.perform(session.on_flushed({kStart + 6, kStart + 4}, kNow));
  EXPECT_EQ(disk.take_log(), "ss");
}

TEST(ReceiveSession, OneThatIsToBeCountedReportsOftenAtFirst) {
  ReceiveSession session({.start = kStart,
                          .segment_bytes = kSegmentBytes,
                          .report = ReceiveSession::Report::kEachFlush,
                          .acknowledged = kStart},
                         kNow);
  int statuses = 0;
  for (int milliseconds = 0; milliseconds < 30'000; milliseconds += 50) {
    statuses += static_cast<int>(session.on_time(kNow + base::Milliseconds(milliseconds)).size());
    if (milliseconds == 700) {
      EXPECT_EQ(statuses, 4) << "at 0, 0.1, 0.3 and 0.7 seconds";
    }
  }
  EXPECT_EQ(statuses, 9) << "then at 1.5, 3.1, 6.3, 12.7 and 22.7";
}

TEST(ReceiveSession, TheStreamEndsOnlyWhenTheStopIsDurable) {
  ReceiveSession session({kStart, kSegmentBytes}, kNow);
  Disk disk(session);
  disk.flushes_at_once = false;
  disk.perform(session.on_time(kNow));
  EXPECT_EQ(disk.take_log(), "s");
  disk.perform(session.set_stop(kStart + 4));
  disk.perform(*session.on_message(base::as_bytes(wal_message(kStart, "abcdef")), kNow));
  EXPECT_EQ(disk.take_log(), "f");
  disk.perform(session.on_flushed({kStart + 3, kStart + 3}, kNow));
  EXPECT_EQ(disk.take_log(), "");
  disk.perform(session.on_flushed({kStart + 6, kStart + 6}, kNow));
  EXPECT_EQ(disk.take_log(), "se");
}

TEST(ReceiveSession, NothingIsToldBeforeARecordShowsThatTheServersWalIsOurs) {
  ReceiveSession session({.start = kStart,
                          .segment_bytes = kSegmentBytes,
                          .report = ReceiveSession::Report::kEachFlush,
                          .unconfirmed = kStart},
                         kNow);
  EXPECT_FALSE(session.status().flush.is_valid());
  EXPECT_FALSE(session.status().write.is_valid());
  const std::string message = wal_message(kStart, std::string(100, 'x'));
  ASSERT_TRUE(session.on_message(base::as_bytes(message), kNow));
  session.on_flushed({kStart + 100, kStart}, kNow);
  EXPECT_FALSE(session.status().flush.is_valid()) << "no record has ended";
  session.on_flushed({kStart + 100, kStart + 96}, kNow);
  EXPECT_EQ(session.status().flush, kStart + 96);
}

TEST(ReceiveSession, AServerThatSaysNothingIsAskedAndThenGivenUp) {
  ReceiveSession session({.start = kStart, .segment_bytes = kSegmentBytes}, kNow);
  EXPECT_EQ(session.on_time(kNow + base::Seconds(29)).size(), 1U) << "the status that is due";
  const auto asks = [](const std::vector<Action>& actions) {
    return std::count_if(actions.begin(), actions.end(), [](const Action& action) {
      const auto* say = std::get_if<SendStatus>(&action);
      return say != nullptr && say->reply_request == pg::ReplyRequest::kYes;
    });
  };
  EXPECT_EQ(asks(session.on_time(kNow + base::Seconds(30))), 1);
  EXPECT_EQ(asks(session.on_time(kNow + base::Seconds(40))), 0) << "once";
  EXPECT_TRUE(session.judge_silence(kNow + base::Seconds(59)));
  // An answer, then none to the next question.
  ASSERT_TRUE(session.on_message(base::as_bytes(keepalive(false)), kNow + base::Seconds(59)));
  EXPECT_TRUE(session.judge_silence(kNow + base::Seconds(80)));
  // Who was held up for long asks first.
  EXPECT_TRUE(session.judge_silence(kNow + base::Seconds(200)));
  EXPECT_EQ(asks(session.on_time(kNow + base::Seconds(200))), 1);
  EXPECT_TRUE(session.judge_silence(kNow + base::Seconds(229)));
  const auto judged = session.judge_silence(kNow + base::Seconds(230));
  ASSERT_FALSE(judged);
  EXPECT_EQ(judged.error().code, base::ErrorCode::kTimeout);
}

}  // namespace
}  // namespace standfast::wal
