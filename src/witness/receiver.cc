#include "witness/receiver.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "store/segment_chain.h"
#include "witness/pg_time.h"
#include "witness/served_folder.h"
#include "witness/upstream.h"

namespace standfast::witness {
namespace {

using base::Clock;
using base::Error;
using base::ErrorCode;
using base::Result;
using client::Connection;

constexpr base::Seconds kConnectTimeout(30);
constexpr base::Seconds kAnswerTimeout(60);
constexpr base::Seconds kLeaveTimeout(5);
constexpr base::Seconds kDiskTimeout(600);        // a disk that takes longer for a few megabytes is broken
constexpr base::Seconds kRetryAfter(5);           // as pg_receivewal
constexpr base::Seconds kRetryOfWitnessAfter(1);  // commits may wait for it
constexpr base::Seconds kRetryAfterRefusal(30);
/// Mostly by our own connection that broke, until the server has seen that.
constexpr std::string_view kSlotIsActive = "55006";
constexpr base::Milliseconds kSlice(1000);
constexpr base::Milliseconds kBulkSlice(20);
constexpr std::uint64_t kMuchIsWaitingBytes = std::uint64_t{4} << 20U;
/// A quarter of a megabyte mostly comes at once when messages are as long as a walsender's.
constexpr int kBulkReadBytes = 192 * 1024;
/// Messages taken in one go, so that a flush that has ended is told in time.
constexpr int kMaxMessagesInARow = 64;

bool may_pass(const Error& error) {
  if (error.code == ErrorCode::kConnect || error.code == ErrorCode::kTimeout) return true;
  // "the database system is starting up", "... is shutting down", "too many clients", "terminated by
  // administrator"
  return error.sqlstate.starts_with("57P") || error.sqlstate.starts_with("53") || error.retryable;
}

/// What another answer of the server would mend, as against a disk of ours.
bool is_of_the_server(const Error& error) {
  using enum ErrorCode;
  constexpr std::array kOfTheServer = {kAuthentication, kCertificate, kVersion, kPrecondition,
                                       kProtocol,       kDamaged,     kSlot,    kSql};
  return std::find(kOfTheServer.begin(), kOfTheServer.end(), error.code) != kOfTheServer.end();
}

}  // namespace

Receiver::Receiver(env::FileSystem& files, base::Reporter& reporter, const env::StopEvent& stop,
                   ReceiverOptions options, ReceiverHooks hooks)
    : files_(files),
      reporter_(reporter),
      stop_(stop),
      options_(std::move(options)),
      hooks_(std::move(hooks)),
      wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      connect_(options_.connect) {
  CHECK(wake_fd_ >= 0);
}

Receiver::~Receiver() {
  close(wake_fd_);
}

void Receiver::connect_by(client::ConnectOptions connect) {
  {
    const std::lock_guard lock(connect_mutex_);
    connect_ = std::move(connect);
  }
  is_to_leave_ = true;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof one);
}

client::ConnectOptions Receiver::take_connect() {
  is_to_leave_ = false;
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t read_bytes = read(wake_fd_, &count, sizeof count);
  const std::lock_guard lock(connect_mutex_);
  return connect_;
}

env::Wait Receiver::answer_wait() const {
  return env::Wait::for_at_most(kAnswerTimeout, &stop_);
}

Result<ReceiverOutcome> Receiver::run() {
  lock_.emplace(TRY(lock_wal_folder(options_.folder)));
  TRY(open_what_is_there());
  while (true) {
    const auto ended = attempt();
    connection_.reset();
    if (ended && (*ended == StreamEnd::kTimelineEnded || *ended == StreamEnd::kLeft)) continue;
    if (ended || stop_.is_set()) {
      TRY(settle());
      return ReceiverOutcome{store_ ? store_->positions() : store::Positions{},
                             ended && *ended == StreamEnd::kReachedEnd};
    }
    const Error& error = ended.error();
    const bool goes_on =
        may_pass(error) || (options_.attempts == Attempts::kWhateverTheServerSays && is_of_the_server(error));
    if (options_.attempts == Attempts::kOnce || !goes_on) return error;
    // What is written is whole as far as it goes; the next stream goes on behind the last whole record.
    TRY(settle());
    const base::Seconds again = pause_after(error);
    tell_trouble(error, again);
    static_cast<void>(env::wait_for(wake_fd_, POLLIN, env::Wait::for_at_most(again, &stop_)));
  }
}

base::Seconds Receiver::pause_after(const Error& error) const {
  if (!may_pass(error) && error.sqlstate != kSlotIsActive) return kRetryAfterRefusal;
  return options_.attempts == Attempts::kWhateverTheServerSays ? kRetryOfWitnessAfter : kRetryAfter;
}

/// The same trouble again and again is told once.
void Receiver::tell_trouble(const Error& error, base::Seconds again) {
  if (hooks_.on_trouble) hooks_.on_trouble(error);
  if (std::exchange(told_trouble_, error.message) == error.message) return;
  const std::string when = fmt::format("Trying again each {}.", base::format_duration(again));
  reporter_.warn(error.message, error.hint.empty() ? when : error.hint + " " + when);
}

Result<Receiver::StreamEnd> Receiver::attempt() {
  connection_.emplace(TRY(
      client::ReplicationConnection::open(take_connect(), env::Wait::for_at_most(kConnectTimeout, &stop_))));
  const auto identity = TRY(connection_->identify_system(answer_wait()));
  TRY(check_server(identity));
  const UpstreamHistory history = TRY(fetch_history(*connection_, identity.timeline, answer_wait()));
  const wal::ReceiveStart start = TRY(plan(identity, history.parsed));
  const auto not_yet = TRY(unconfirmed(start));
  // Nothing in the folder has been touched for a server that is another one.
  TRY(keep_histories(*connection_, files_, *store_, history, answer_wait()));
  return stream(start, not_yet);
}

Result<void> Receiver::open_what_is_there() {
  const auto held = TRY(store::describe_wal_folder(files_, options_.folder));
  return held ? open_store(*held) : base::ok();
}

Result<void> Receiver::check_server(const client::SystemIdentity& identity) {
  const std::uint64_t segment_bytes = TRY(connection_->wal_segment_bytes(answer_wait()));
  if (!store_) return open_store({.segment_bytes = segment_bytes, .system_id = identity.system_id});
  if (origin_.system_id != identity.system_id) {
    return Error(ErrorCode::kPrecondition,
                 fmt::format("the server is system {}, and \"{}\" holds WAL of system {}",
                             identity.system_id.to_string(), options_.folder, origin_.system_id.to_string()),
                 "Connect to the server whose WAL this is, or take another folder.");
  }
  if (origin_.segment_bytes == segment_bytes) return base::ok();
  return Error(ErrorCode::kPrecondition,
               fmt::format("the server's WAL segments have {}, those in \"{}\" have {}",
                           base::format_bytes(segment_bytes), options_.folder,
                           base::format_bytes(origin_.segment_bytes)),
               "Take another folder.");
}

Result<void> Receiver::open_store(const store::WalOrigin& origin) {
  store_ = TRY(store::WalStore::open(
      files_,
      {.folder = options_.folder, .segment_bytes = origin.segment_bytes, .system_id = origin.system_id}));
  origin_ = origin;
  flusher_ = std::make_unique<Flusher>(*store_, Flusher::Options());
  if (hooks_.on_store) TRY(hooks_.on_store(*store_));
  write_first_spare();
  keeper_ = std::make_unique<Keeper>(
      files_, *store_,
      Keeper::Options{
          .spare_segments = options_.spare_segments, .packing = options_.packing, .retire = hooks_.retire});
  return base::ok();
}

Result<wal::ReceiveStart> Receiver::plan(const client::SystemIdentity& identity,
                                         const pg::TimelineHistory& history) {
  std::optional<wal::HeldWal> held;
  if (const auto tail = store_->tail()) {
    held = wal::HeldWal{.timeline = tail->timeline,
                        .resume_at = tail->resume_at,
                        .acknowledged = tail->proven_end,
                        .received = store_->positions().written,
                        .history = TRY(store::read_history(files_, options_.folder, tail->timeline))};
  }
  wal::ReceiveWishes wishes{.accept_fork = options_.accept_fork};
  if (!held && options_.slot) {
    const auto slot = TRY(connection_->read_slot(*options_.slot, answer_wait()));
    if (slot) wishes.slot = wal::SlotPosition{slot->restart, slot->timeline};
  }
  return wal::plan_receive({identity.timeline, identity.wal_position, history, origin_.segment_bytes}, held,
                           wishes);
}

Result<std::optional<pg::Lsn>> Receiver::unconfirmed(const wal::ReceiveStart& start) {
  if (!start.overlap) return std::optional<pg::Lsn>();
  const Agreement agreement =
      TRY(compare_with_server(*connection_, files_, store_->options(), *start.overlap, answer_wait()));
  return agreement == Agreement::kSame ? std::optional<pg::Lsn>() : start.overlap->end;
}

Result<Receiver::StreamEnd> Receiver::stream(const wal::ReceiveStart& start,
                                             const std::optional<pg::Lsn>& unconfirmed) {
  TRY(store_->begin({.timeline = start.timeline, .start = start.at, .fork = start.fork}));
  const auto next =
      TRY(connection_->start_replication_or_end({options_.slot, start.at, start.timeline}, answer_wait()));
  if (next) return StreamEnd::kTimelineEnded;
  if (hooks_.on_stream) {
    TRY(hooks_.on_stream({.timeline = start.timeline,
                          .system_id = origin_.system_id,
                          .segment_bytes = origin_.segment_bytes,
                          .server_version = connection_->server_version().to_string()}));
  }
  reporter_.info(fmt::format("{} at {} (timeline {})",
                             has_streamed_ ? "streaming again" : "starting log streaming",
                             start.at.to_string(), start.timeline.value()));
  has_streamed_ = true;
  told_trouble_.clear();
  ended_ = false;
  reads_in_bulk_ = false;
  told_feedback_.reset();
  session_.emplace(wal::ReceiveSession::Options{.start = start.at,
                                                .segment_bytes = origin_.segment_bytes,
                                                .status_interval = options_.status_interval,
                                                .report = wal::ReceiveSession::Report::kEachFlush,
                                                .acknowledged = store_->positions().acknowledged,
                                                .unconfirmed = unconfirmed},
                   Clock::now());
  TRY(perform(session_->on_time(Clock::now())));
  if (options_.end) TRY(perform(session_->set_stop(*options_.end)));
  if (options_.end && *options_.end <= start.at) {  // no news of the flusher will tell that it is reached
    TRY(flush_and_tell());
    if (!ended_) TRY(end_stream(env::Wait::for_at_most(kAnswerTimeout)));
    session_.reset();
    return StreamEnd::kReachedEnd;
  }
  auto end = receive();
  session_.reset();
  return end;
}

Result<Receiver::StreamEnd> Receiver::receive() {
  while (!ended_) {
    if (stop_.is_set()) {
      TRY(flush_and_tell());
      TRY(end_stream(env::Wait::for_at_most(kAnswerTimeout)));
      return StreamEnd::kStopped;
    }
    if (is_to_leave_) {
      TRY(flush_and_tell());
      // Whoever is left may be gone, which may be why.
      static_cast<void>(end_stream(env::Wait::for_at_most(kLeaveTimeout, &stop_)));
      return StreamEnd::kLeft;
    }
    const Taken taken = TRY(take_messages());
    if (taken == Taken::kEnd) return end_of_stream();
    flusher_->remind();
    TRY(perform(session_->on_time(Clock::now())));
    TRY(take_flushes());
    tell_what_the_keeper_met();
    TRY(send_feedback());
    if (taken == Taken::kAll && !ended_) {
      TRY(session_->judge_silence(Clock::now()));
      wait_for_something();
    }
  }
  return StreamEnd::kReachedEnd;
}

Result<void> Receiver::flush_and_tell() {
  TRY(flusher_->flush_all(env::Wait::for_at_most(kDiskTimeout)));
  return take_flushes();
}

Result<Receiver::Taken> Receiver::take_messages() {
  for (int i = 0; i < kMaxMessagesInARow && !ended_; ++i) {
    const auto message =
        TRY(connection_->connection().receive_copy(env::Wait{base::Deadline::at(Clock::now())}));
    switch (message.event) {
      case Connection::CopyEvent::kEnd:
        return Taken::kEnd;
      case Connection::CopyEvent::kTimeout:
        if (options_.flush_when == FlushWhen::kAtOnce && !reads_in_bulk_) flusher_->flush_now();
        return Taken::kAll;
      case Connection::CopyEvent::kData:
        TRY(perform(TRY(session_->on_message(message.data, Clock::now()))));
        break;
    }
  }
  return Taken::kSome;
}

void Receiver::wait_for_something() {
  read_in_bulk(session_->server_end().bytes_since(session_->written()) > kMuchIsWaitingBytes);
  const auto slice = reads_in_bulk_ ? kBulkSlice : base::Milliseconds(kSlice);
  const auto until = base::Deadline::after(slice)
                         .earlier(base::Deadline::at(session_->next_status_at()))
                         .earlier(base::Deadline::at(flusher_->due_at()));
  pollfd fds[] = {{connection_->connection().socket_fd(), POLLIN, 0},
                  {flusher_->fd(), POLLIN, 0},
                  {wake_fd_, POLLIN, 0},
                  {stop_.fd(), POLLIN, 0}};
  // What ended the wait is found out by asking each. Of a server that has slowed down, what there is is
  // taken.
  if (poll(fds, std::size(fds), static_cast<int>(until.remaining().count())) == 0) read_in_bulk(false);
}

void Receiver::read_in_bulk(bool in_bulk) {
  if (std::exchange(reads_in_bulk_, in_bulk) == in_bulk) return;
  const int low_water_bytes = in_bulk ? kBulkReadBytes : 1;
  // Where that is refused, it is only slower.
  static_cast<void>(setsockopt(connection_->connection().socket_fd(), SOL_SOCKET, SO_RCVLOWAT,
                               &low_water_bytes, sizeof low_water_bytes));
}

Result<void> Receiver::take_flushes() {
  const auto news = TRY(flusher_->take_news());
  // A position belongs to a timeline.
  if (!news || news->timeline != store_->positions().timeline) return base::ok();
  TRY(perform(
      session_->on_flushed({.durable = news->durable, .acknowledged = news->acknowledged}, Clock::now())));
  // After the primary, whose commit waits.
  if (hooks_.on_flushed) hooks_.on_flushed(*news);
  return base::ok();
}

Result<void> Receiver::perform(const std::vector<wal::Action>& actions) {
  for (const wal::Action& action : actions) TRY(perform_one(action));
  return base::ok();
}

Result<void> Receiver::perform_one(const wal::Action& action) {
  if (const auto* write = std::get_if<wal::Write>(&action)) {
    TRY(flusher_->wait_for_room(env::Wait::for_at_most(kDiskTimeout)));
    auto appended = store_->append(write->at, write->bytes);
    // Of damaged WAL too: what is whole before the damage is to become durable.
    flusher_->wrote(write->bytes.size());
    return appended;
  }
  if (std::holds_alternative<wal::FinishSegment>(action)) return base::ok();
  if (std::holds_alternative<wal::Flush>(action)) {
    flusher_->ask();
    return base::ok();
  }
  if (const auto* say = std::get_if<wal::SendStatus>(&action)) {
    pg::StandbyStatus status = session_->status();
    status.reply_request = say->reply_request;
    status.sent_at_pg_microseconds = now_in_pg_microseconds();
    return connection_->connection().send_copy(base::as_bytes(pg::encode_standby_status(status)),
                                               env::Wait::for_at_most(kAnswerTimeout));
  }
  ended_ = true;
  return end_stream(env::Wait::for_at_most(kAnswerTimeout));
}

Result<void> Receiver::end_stream(const env::Wait& wait) {
  read_in_bulk(false);
  return connection_->end_replication(wait);
}

Result<Receiver::StreamEnd> Receiver::end_of_stream() {
  read_in_bulk(false);
  TRY(settle());
  const auto next = TRY(connection_->read_end_of_stream(answer_wait()));
  if (next) {
    reporter_.info(fmt::format("timeline {} ends at {}; timeline {} begins there",
                               store_->positions().timeline.value(), next->starts_at.to_string(),
                               next->timeline.value()));
    return StreamEnd::kTimelineEnded;
  }
  Error error(ErrorCode::kConnect, "the server ended the stream: it is being stopped");
  error.retryable = true;
  return error;
}

/// What changes is told, once a second at most; of what is not known nothing is.
Result<void> Receiver::send_feedback() {
  if (!hooks_.feedback || Clock::now() < next_feedback_at_) return base::ok();
  next_feedback_at_ = Clock::now() + kSlice;
  auto feedback = hooks_.feedback();
  if (!feedback) return base::ok();
  feedback->sent_at_pg_microseconds = 0;
  if (told_feedback_ && *told_feedback_ == *feedback) return base::ok();
  told_feedback_ = feedback;
  feedback->sent_at_pg_microseconds = now_in_pg_microseconds();
  return connection_->connection().send_copy(base::as_bytes(pg::encode_hot_standby_feedback(*feedback)),
                                             env::Wait::for_at_most(kAnswerTimeout));
}

/// Nothing that was written is left in doubt before a stream begins anew.
Result<void> Receiver::settle() {
  if (!flusher_) return base::ok();
  TRY(flusher_->flush_all(env::Wait::for_at_most(kDiskTimeout)));
  const auto news = TRY(flusher_->take_news());
  if (news && hooks_.on_flushed) hooks_.on_flushed(*news);
  return base::ok();
}

/// The keeper makes the others while nothing comes in; at a start much may be waiting. What is here is served
/// all the same where the disk is full.
void Receiver::write_first_spare() {
  if (options_.spare_segments == 0 || store_->spares().count() > 0) return;
  const auto written = store_->spares().write_one();
  if (!written) reporter_.warn(written.error().message, written.error().hint);
}

void Receiver::tell_what_the_keeper_met() {
  const auto failure = keeper_->take_failure();
  if (failure) reporter_.warn(failure->message, failure->hint);
}

}  // namespace standfast::witness
