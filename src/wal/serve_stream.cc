// From START_REPLICATION to the end of the stream.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/check.h"
#include "pg/format/wal_file.h"
#include "wal/serve_session.h"

namespace standfast::wal {
namespace {

constexpr std::uint64_t kWalPageBytes = 8192;  // XLOG_BLCKSZ

pg::ServerReport not_in_history(pg::TimelineId timeline) {
  return {.sqlstate = "XX000",
          .message = fmt::format("requested timeline {} is not in this server's history", timeline.value())};
}

}  // namespace

/// Where the store's history left a timeline, and for which one; no value for its own timeline and for those
/// it does not descend from.
std::optional<ServeSession::Fork> ServeSession::fork_of(pg::TimelineId timeline) const {
  const auto& ancestors = options_.store.ancestors;
  for (std::size_t i = 0; i < ancestors.size(); ++i) {
    if (ancestors[i].timeline != timeline) continue;
    return Fork{ancestors[i].end,
                i + 1 < ancestors.size() ? ancestors[i + 1].timeline : options_.store.timeline};
  }
  return std::nullopt;
}

void ServeSession::refuse_stream(const pg::StartReplication& command, pg::ServerReport report) {
  if (command.slot) actions_.emplace_back(serve::ReleaseSlot{});
  reply_error(report);
}

void ServeSession::start_stream(const pg::StartReplication& command) {
  const serve::StoreView& store = options_.store;
  if (store.timeline.value() == 0) {
    return refuse_stream(command, {.sqlstate = "57P03", .message = "this server has received no WAL yet"});
  }
  const pg::TimelineId timeline = command.timeline.value_or(store.timeline);
  const auto fork = fork_of(timeline);
  if (!fork && timeline != store.timeline) return refuse_stream(command, not_in_history(timeline));
  if (fork && fork->end < command.start) {
    return refuse_stream(
        command,
        {.sqlstate = "XX000",
         .message = fmt::format("requested starting point {} on timeline {} is not in this server's history",
                                command.start.to_string(), timeline.value()),
         .detail = fmt::format("This server's history forked from timeline {} at {}.", timeline.value(),
                               fork->end.to_string())});
  }
  if (!fork && store.durable_end < command.start) {
    return refuse_stream(
        command,
        {.sqlstate = "XX000",
         .message = fmt::format("requested starting point {} is ahead of the WAL flush position of this "
                                "server {}",
                                command.start.to_string(), store.durable_end.to_string())});
  }
  if (fork && fork->end == command.start) {  // nothing to stream: only where to go on
    if (command.slot) actions_.emplace_back(serve::ReleaseSlot{});
    send(end_of_stream(timeline));
    return send(pg::encode_ready_for_query());
  }
  stream_ = Stream{.timeline = timeline,
                   .sent = command.start,
                   .holds_slot = command.slot.has_value(),
                   .last_reply = instant_.now};
  state_ = State::kStreaming;
  framer_.expect(pg::FrontendPhase::kStreaming);
  send(pg::encode_copy_both_response());
  continue_stream();
}

void ServeSession::on_streaming_message(const pg::FrontendMessage& message) {
  stream_->last_reply = instant_.now;
  stream_->awaits_reply = false;
  switch (message.kind) {
    case 'X':
      return end("the standby ended the session");
    case 'd':
      if (!stream_->has_received_done) return on_standby_message(message.body);
      break;
    case 'c':
      if (stream_->has_received_done) break;
      stream_->has_received_done = true;
      if (!std::exchange(stream_->has_sent_done, true)) send(pg::encode_copy_done());
      return finish_stream_if_done();
    default:
      break;
  }
  end_fatally("08P01",
              fmt::format("invalid standby message type {}", static_cast<unsigned char>(message.kind)));
}

void ServeSession::on_standby_message(base::Bytes body) {
  const auto message = pg::parse_standby_message(body);
  if (!message) return end_for_violation(message.error());
  if (const auto* status = std::get_if<pg::StandbyStatus>(&*message)) return on_standby_status(*status);
  actions_.emplace_back(serve::StandbyFeedback{std::get<pg::HotStandbyFeedback>(*message)});
}

void ServeSession::on_standby_status(const pg::StandbyStatus& status) {
  stream_->standby = {status.write, status.flush, status.apply};
  actions_.emplace_back(stream_->standby);
  if (stream_->holds_slot && status.flush.is_valid()) {
    // What lies beyond our own end, or where we left the timeline, may be true of the standby, but says
    // nothing about WAL that is kept here.
    const auto fork = fork_of(stream_->timeline);
    const pg::Lsn end = fork ? fork->end : options_.store.durable_end;
    actions_.emplace_back(serve::AdvanceSlot{stream_->timeline, std::min(status.flush, end)});
  }
  if (status.reply_request == pg::ReplyRequest::kYes && !stream_->has_sent_done) {
    send_keepalive(pg::ReplyRequest::kNo);
  }
  finish_stop();
}

void ServeSession::continue_stream() {
  if (state_ != State::kStreaming || stream_->has_sent_done || stream_->reading_up_to) return;
  const auto fork = fork_of(stream_->timeline);
  if (!fork && stream_->timeline != options_.store.timeline)
    return fail_stream(not_in_history(stream_->timeline));
  if (fork && fork->end <= stream_->sent) {
    stream_->has_sent_done = true;
    return send(pg::encode_copy_done());
  }
  const pg::Lsn limit = fork ? fork->end : options_.store.durable_end;
  if (stream_->sent < limit) return read_more(limit);
  finish_stop();
}

void ServeSession::read_more(pg::Lsn limit) {
  if (unsent_bytes_ >= kWalGateBytes) return;
  const pg::Lsn start = stream_->sent;
  const pg::Lsn segment_end =
      start.segment_start(options_.facts.segment_bytes) + options_.facts.segment_bytes;
  pg::Lsn end = std::min(limit, segment_end);
  if (end.bytes_since(start) > kMaxBatchBytes) {
    // A receiver relies on it that no record is cut but at a page's end.
    end = (start + kMaxBatchBytes).segment_start(kWalPageBytes);
  }
  stream_->reading_up_to = end;
  actions_.emplace_back(serve::ReadWal{stream_->timeline, start, end});
}

void ServeSession::on_wal_read(const serve::Instant& now) {
  if (state_ != State::kStreaming) return;
  CHECK(stream_->reading_up_to);
  instant_ = now;
  const pg::Lsn end = *std::exchange(stream_->reading_up_to, std::nullopt);
  if (stream_->has_sent_done) return finish_stream_if_done();
  const auto fork = fork_of(stream_->timeline);
  // The timeline may have been left in the meantime, below what was read of it.
  if (!fork || end <= fork->end) {
    const pg::Lsn server_end = fork ? fork->end : options_.store.durable_end;
    const auto wal_bytes = static_cast<std::size_t>(end.bytes_since(stream_->sent));
    std::string header =
        pg::encode_wal_data_header(stream_->sent, server_end, instant_.pg_microseconds, wal_bytes);
    if (unsent_bytes_ == 0) last_progress_ = instant_.now;
    unsent_bytes_ += header.size() + wal_bytes;
    actions_.emplace_back(serve::SendWal{std::move(header), wal_bytes});
    stream_->sent = end;
  }
  continue_stream();
}

void ServeSession::on_wal_gone() {
  if (state_ != State::kStreaming) return;
  fail_read({.sqlstate = "58P01",
             .message = fmt::format(
                 "requested WAL segment {} has already been removed",
                 pg::wal_segment_name(stream_->timeline, stream_->sent, options_.facts.segment_bytes)),
             .hint = "Let the standby fetch it elsewhere (restore_command), or make a new copy of it."});
}

void ServeSession::on_wal_failed(const base::Error& error) {
  if (state_ != State::kStreaming) return;
  fail_read({.sqlstate = "58030", .message = error.message, .hint = error.hint});
}

/// As a server ends the walsender of a slot that it invalidates.
void ServeSession::on_slot_lost() {
  if (state_ != State::kStreaming || !stream_->holds_slot) return;
  end_fatally("55000",
              "terminating the stream: its replication slot held back more WAL than its bound allows",
              "Make a new copy of the standby; then drop the slot and create it again.");
}

void ServeSession::fail_read(const pg::ServerReport& report) {
  CHECK(stream_->reading_up_to);
  stream_->reading_up_to.reset();
  if (!stream_->has_sent_done) return fail_stream(report);
  finish_stream_if_done();  // nobody waits for it any more
}

void ServeSession::fail_stream(const pg::ServerReport& report) {
  if (stream_->holds_slot) actions_.emplace_back(serve::ReleaseSlot{});
  stream_.reset();
  state_ = State::kIdle;
  framer_.expect(pg::FrontendPhase::kCommands);
  send(pg::encode_report(report));
  if (stop_deadline_) return end("this server stops");
  send(pg::encode_ready_for_query());
}

void ServeSession::finish_stream_if_done() {
  if (!stream_->has_sent_done || !stream_->has_received_done || stream_->reading_up_to) return;
  const pg::TimelineId timeline = stream_->timeline;
  if (stream_->holds_slot) actions_.emplace_back(serve::ReleaseSlot{});
  stream_.reset();
  state_ = State::kIdle;
  framer_.expect(pg::FrontendPhase::kCommands);
  send(end_of_stream(timeline));
  if (stop_deadline_) return end_fatally("57P01", "terminating connection due to administrator command");
  send(pg::encode_ready_for_query());
}

/// Where the timeline was left, if it was, and that both the stream and the command are over: a receiver
/// fails when it is told so only once.
std::string ServeSession::end_of_stream(pg::TimelineId timeline) const {
  std::string bytes;
  if (const auto fork = fork_of(timeline)) {
    const std::array columns{pg::Column{"next_tli", pg::ColumnType::kInt8}, pg::Column{"next_tli_startpos"}};
    const std::array<pg::RowValue, 2> values{fmt::format("{}", fork->next.value()), fork->end.to_string()};
    bytes += pg::encode_row_description(columns);
    bytes += pg::encode_data_row(values);
  }
  bytes += pg::encode_command_complete("START_STREAMING");
  bytes += pg::encode_command_complete("START_REPLICATION");
  return bytes;
}

void ServeSession::send_keepalive(pg::ReplyRequest reply_request) {
  const bool is_requested = reply_request == pg::ReplyRequest::kYes;
  if (is_requested) stream_->awaits_reply = true;
  send(pg::encode_keepalive({stream_->sent, instant_.pg_microseconds, is_requested}));
}

/// Nothing more is to be asked of it: it owes a reply, or our side of the stream is closed.
bool ServeSession::is_asking_standby() const {
  return stream_->awaits_reply || stream_->has_sent_done;
}

void ServeSession::watch_standby() {
  const auto timeout = options_.wal_sender_timeout;
  if (timeout > base::Clock::duration::zero()) {
    if (instant_.now >= stream_->last_reply + timeout) {
      return end("terminating walsender due to replication timeout");
    }
    if (!stream_->awaits_reply && !stream_->has_sent_done &&
        instant_.now >= stream_->last_reply + timeout / 2) {
      send_keepalive(pg::ReplyRequest::kYes);
    }
  }
  finish_stop();
}

/// Ends a stream of a server that stops: when the standby has confirmed everything, or had its time to.
void ServeSession::finish_stop() {
  if (!stop_deadline_ || state_ != State::kStreaming) return;
  const auto fork = fork_of(stream_->timeline);
  const pg::Lsn limit = fork ? fork->end : options_.store.durable_end;
  // A receiver that does not report what it has flushed (pg_receivewal) reports what it has written.
  const pg::Lsn replicated =
      stream_->standby.flush.is_valid() ? stream_->standby.flush : stream_->standby.write;
  const bool is_confirmed = stream_->sent >= limit && replicated >= stream_->sent;
  if (is_confirmed || instant_.now >= *stop_deadline_) {
    send(pg::encode_command_complete("COPY 0"));
    return end("this server stops");
  }
  if (stream_->sent >= limit && !is_asking_standby()) {
    send_keepalive(pg::ReplyRequest::kYes);
  }
}

std::optional<ServeSession::StreamStatus> ServeSession::stream_status() const {
  if (!stream_) return std::nullopt;
  const auto fork = fork_of(stream_->timeline);
  return StreamStatus{.timeline = stream_->timeline,
                      .sent = stream_->sent,
                      .standby = stream_->standby,
                      .is_caught_up = !fork && stream_->sent >= options_.store.durable_end};
}

}  // namespace standfast::wal
