#include "clone/wal_stream.h"

#include <algorithm>

#include <fmt/format.h>

namespace standfast::clone {
namespace {

using base::Clock;
using base::Error;
using base::ErrorCode;
using base::Result;

/// How soon the thread sees that it is to stop.
constexpr base::Milliseconds kSlice(50);
/// For sending a status and for ending the stream.
constexpr base::Seconds kAnswerTimeout(30);
/// How long the last WAL of the backup may be awaited without any of it coming.
constexpr base::Seconds kLastWalTimeout(60);

std::int64_t now_in_pg_microseconds() {
  using std::chrono::microseconds;
  using std::chrono::system_clock;
  constexpr std::int64_t kPgEpochUnixSeconds = 946'684'800;
  const auto unix_time = std::chrono::duration_cast<microseconds>(system_clock::now().time_since_epoch());
  return unix_time.count() - kPgEpochUnixSeconds * 1'000'000;
}

Error moved_error(const wal::DatabaseMove& move) {
  return {
      ErrorCode::kPrecondition,
      fmt::format("database {} was moved to another tablespace while it was copied (WAL at {})",
                  move.database, move.at.to_string()),
      "A standby would replay that from files that are gone, and have an empty database. Run this again when "
      "no ALTER DATABASE ... SET TABLESPACE runs on the source."};
}

}  // namespace

pg::Lsn hand_over_position(pg::Lsn stop, pg::Lsn acknowledged, std::uint64_t segment_bytes) {
  return std::max(pg::Lsn(stop.value() - 1).segment_start(segment_bytes),
                  acknowledged.segment_start(segment_bytes));
}

WalStream::WalStream(env::FileSystem& files, client::ReplicationConnection connection, Options options)
    : connection_(std::move(connection)),
      options_(std::move(options)),
      segments_(files, options_.segments),
      moves_({.from = options_.start,
              .timeline = options_.timeline,
              .segment_bytes = options_.segments.segment_bytes}) {}

WalStream::~WalStream() {
  give_up_ = true;
  join();
}

void WalStream::join() {
  if (thread_.joinable()) thread_.join();
}

Result<void> WalStream::start(const env::Wait& wait) {
  // Timeline 1 has no history.
  if (options_.timeline > pg::TimelineId(1)) {
    const std::string history = TRY(connection_.timeline_history(options_.timeline, wait));
    TRY(segments_.write_history(options_.timeline, history));
  }
  const pg::Lsn from = options_.start.segment_start(options_.segments.segment_bytes);
  TRY(connection_.start_replication({options_.slot, from, options_.timeline}, wait));
  session_.emplace(wal::ReceiveSession::Options{from, options_.segments.segment_bytes}, Clock::now());
  thread_ = std::thread([this] { run(); });
  return base::ok();
}

void WalStream::set_stop(pg::Lsn stop) {
  stop_at_ = stop.value();
}

void WalStream::run() {
  outcome_ = receive();
  if (!outcome_) failed_.store(true, std::memory_order_release);
  done_.store(true, std::memory_order_release);
}

Result<void> WalStream::receive() {
  TRY(perform(session_->on_time(Clock::now())));
  bool stop_is_known = false;
  base::Deadline last_wal = base::Deadline::after(kLastWalTimeout);
  while (!ended_) {
    if (give_up_) return env::cancelled_error();
    if (const std::uint64_t stop = stop_at_.load(); stop != 0 && !stop_is_known) {
      stop_is_known = true;
      last_wal = base::Deadline::after(kLastWalTimeout);
      TRY(perform(session_->set_stop(pg::Lsn(stop))));
      continue;
    }
    const auto slice = base::Deadline::after(kSlice).earlier(base::Deadline::at(session_->next_status_at()));
    const auto message = TRY(connection_.connection().receive_copy(env::Wait{slice}));
    switch (message.event) {
      case client::Connection::CopyEvent::kData: {
        const pg::Lsn before = session_->written();
        TRY(perform(TRY(session_->on_message(message.data, Clock::now()))));
        if (session_->written() > before) last_wal = base::Deadline::after(kLastWalTimeout);
        break;
      }
      case client::Connection::CopyEvent::kEnd:
        return stream_ended();
      case client::Connection::CopyEvent::kTimeout:
        TRY(perform(session_->on_time(Clock::now())));
        break;
    }
    if (stop_is_known && !ended_ && last_wal.passed()) {
      return Error(ErrorCode::kTimeout,
                   fmt::format("the WAL up to {} did not come, only up to {}",
                               pg::Lsn(stop_at_.load()).to_string(), session_->written().to_string()),
                   "Look into the server's log, and at pg_stat_replication there.");
    }
  }
  TRY(segments_.finish_segment());
  return connection_.end_replication(env::Wait::for_at_most(kAnswerTimeout));
}

/// A segment that is finished may be the last that is needed: what comes after it in the list is not.
Result<void> WalStream::perform(const std::vector<wal::Action>& actions) {
  for (const wal::Action& action : actions) {
    if (!ended_) TRY(perform_one(action));
  }
  return base::ok();
}

wal::Flushed WalStream::reached(pg::Lsn lsn) const {
  const bool is_durable = options_.segments.durability == store::Durability::kSync;
  return {.durable = lsn, .acknowledged = is_durable ? lsn : pg::Lsn()};
}

Result<void> WalStream::perform_one(const wal::Action& action) {
  if (const auto* write = std::get_if<wal::Write>(&action)) {
    received_bytes_.fetch_add(write->bytes.size(), std::memory_order_relaxed);
    moves_.feed(write->bytes);
    return segments_.write(write->at, write->bytes);
  }
  if (const auto* finish = std::get_if<wal::FinishSegment>(&action)) {
    TRY(segments_.finish_segment());
    return perform(
        session_->on_flushed(reached(finish->segment_start + options_.segments.segment_bytes), Clock::now()));
  }
  if (std::holds_alternative<wal::Flush>(action)) {
    TRY(segments_.flush());
    return perform(session_->on_flushed(reached(session_->written()), Clock::now()));
  }
  if (const auto* say = std::get_if<wal::SendStatus>(&action)) {
    pg::StandbyStatus status = session_->status();
    status.reply_request = say->reply_request;
    status.sent_at_pg_microseconds = now_in_pg_microseconds();
    return connection_.connection().send_copy(base::as_bytes(pg::encode_standby_status(status)),
                                              env::Wait::for_at_most(kAnswerTimeout));
  }
  ended_ = true;
  return base::ok();
}

// The server ended the stream: it tells why, or its timeline came to an end.
Error WalStream::stream_ended() {
  auto answer = connection_.connection().next_result(env::Wait::for_at_most(kAnswerTimeout));
  // A server that is stopped ends the whole command; at the end of a timeline it ends its half of the copy.
  if (answer && answer->kind == client::Connection::ResultKind::kCopyBoth) {
    return {ErrorCode::kPrecondition,
            fmt::format("timeline {} of the server ended at {}: it was promoted, or follows one that was",
                        options_.timeline.value(), session_->written().to_string()),
            std::string(hint_after_promotion(options_.left))};
  }
  if (answer) {
    return {ErrorCode::kProtocol,
            fmt::format("the server ended the WAL stream of timeline {} at {}", options_.timeline.value(),
                        session_->written().to_string()),
            "It is being stopped. Run this again when it is up."};
  }
  Error error = std::move(answer).error();
  constexpr std::string_view kUndefinedFile = "58P01";
  if (error.sqlstate == kUndefinedFile) {
    error.code = ErrorCode::kPrecondition;
    error.hint =
        "The server removed WAL that the copy needs. Let a replication slot keep it (leave --no-slot out), "
        "or raise "
        "wal_keep_size there.";
  }
  return std::move(error).with_context("WAL stream");
}

Error WalStream::failure() {
  join();
  return outcome_.error();
}

Result<client::ReplicationConnection> WalStream::finish(const env::StopEvent& stop) {
  while (!done_.load(std::memory_order_acquire)) {
    if (env::wait_for(-1, 0, env::Wait::for_at_most(kSlice, &stop)) == env::Ready::kStopped)
      return env::cancelled_error();
  }
  join();
  if (!outcome_) return outcome_.error();
  if (const auto& move = moves_.first(); move && move->at < pg::Lsn(stop_at_.load()))
    return moved_error(*move);
  return std::move(connection_);
}

}  // namespace standfast::clone
