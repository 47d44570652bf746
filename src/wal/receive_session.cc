#include "wal/receive_session.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"

namespace standfast::wal {

namespace {

/// Half of what wal_receiver_timeout is unless it is set.
constexpr base::Seconds kMaxSilence(30);

}  // namespace

using base::Error;
using base::ErrorCode;
using base::Result;

ReceiveSession::ReceiveSession(const Options& options, base::Clock::time_point now)
    : options_(options),
      written_(options.start),
      durable_(options.start),
      acknowledged_(options.acknowledged.value_or(options.start)),
      heard_at_(now),
      next_status_at_(now) {
  CHECK(options.segment_bytes > 0);
  CHECK(acknowledged_ <= durable_);
}

Result<std::vector<Action>> ReceiveSession::on_message(base::Bytes message, base::Clock::time_point now) {
  const auto parsed = TRY(pg::parse_replication_message(message));
  heard_at_ = now;
  asked_for_life_at_.reset();
  if (const auto* wal = std::get_if<pg::WalData>(&parsed)) {
    server_end_ = wal->server_end;
    auto actions = TRY(on_wal(*wal));
    if (now >= next_status_at_) std::ranges::copy(on_time(now), std::back_inserter(actions));
    return actions;
  }
  std::vector<Action> actions;
  if (ended_) return actions;
  if (std::get<pg::Keepalive>(parsed).reply_requested) {
    // A server that shuts down waits until all it sent is durable here, so the answer is not given before.
    if (durable_ < written_) {
      answer_owed_at_ = written_;
      actions.emplace_back(Flush{});
      return actions;
    }
    say_status(actions, now);
    return actions;
  }
  return on_time(now);
}

Result<std::vector<Action>> ReceiveSession::on_wal(const pg::WalData& wal) {
  std::vector<Action> actions;
  if (ended_ || stop_is_reached(written_)) return actions;
  if (wal.start != written_) {
    return Error(ErrorCode::kProtocol, fmt::format("the server sent WAL from {} where {} comes next",
                                                   wal.start.to_string(), written_.to_string()));
  }
  base::Bytes rest = wal.data;
  while (!rest.empty()) {
    const std::uint64_t room = options_.segment_bytes - written_.value() % options_.segment_bytes;
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(room, rest.size()));
    actions.emplace_back(Write{written_, rest.first(count)});
    const pg::Lsn segment_start = written_.segment_start(options_.segment_bytes);
    written_ = written_ + count;
    rest = rest.subspan(count);
    if (count == room) actions.emplace_back(FinishSegment{segment_start});
  }
  if (stop_is_reached(written_)) actions.emplace_back(Flush{});
  return actions;
}

std::vector<Action> ReceiveSession::on_time(base::Clock::time_point now) {
  std::vector<Action> actions;
  if (ended_) return actions;
  ask_for_life(actions, now);
  if (now < next_status_at_) return actions;
  if (durable_ < written_) actions.emplace_back(Flush{});
  say_status(actions, now);
  return actions;
}

void ReceiveSession::ask_for_life(std::vector<Action>& actions, base::Clock::time_point now) {
  if (asked_for_life_at_ || now < heard_at_ + kMaxSilence) return;
  asked_for_life_at_ = now;
  actions.emplace_back(SendStatus{pg::ReplyRequest::kYes});
}

Result<void> ReceiveSession::judge_silence(base::Clock::time_point now) const {
  if (!asked_for_life_at_ || now < *asked_for_life_at_ + kMaxSilence) return base::ok();
  return Error(ErrorCode::kTimeout,
               "the server has said nothing for " + base::format_duration(now - heard_at_),
               "It hangs, or the network between lost it.");
}

std::vector<Action> ReceiveSession::set_stop(pg::Lsn stop) {
  stop_ = stop;
  std::vector<Action> actions;
  if (stop_is_reached(written_) && !ended_) actions.emplace_back(Flush{});
  return actions;
}

std::vector<Action> ReceiveSession::on_flushed(const Flushed& flushed, base::Clock::time_point now) {
  CHECK(flushed.acknowledged <= flushed.durable && flushed.durable <= written_);
  const bool is_news = flushed.acknowledged > acknowledged_;
  durable_ = std::max(durable_, flushed.durable);
  acknowledged_ = std::max(acknowledged_, flushed.acknowledged);
  std::vector<Action> actions;
  if (ended_) return actions;
  const bool is_owed = answer_owed_at_ && durable_ >= *answer_owed_at_;
  const bool is_end = stop_is_reached(durable_);
  if (is_owed || is_end || (is_news && options_.report == Report::kEachFlush)) say_status(actions, now);
  if (is_end) {
    ended_ = true;
    actions.emplace_back(EndStream{});
  }
  return actions;
}

void ReceiveSession::say_status(std::vector<Action>& actions, base::Clock::time_point now) {
  answer_owed_at_.reset();
  next_status_at_ = base::Clock::time_point::max();
  if (options_.status_interval > base::Clock::duration::zero()) {
    const bool is_young =
        options_.report == Report::kEachFlush && next_status_after_ < options_.status_interval;
    next_status_at_ = now + (is_young ? next_status_after_ : options_.status_interval);
    if (is_young) next_status_after_ *= 2;
  }
  actions.emplace_back(SendStatus{});
}

pg::StandbyStatus ReceiveSession::status() const {
  CHECK(acknowledged_ <= written_);
  // A commit may wait for either of them.
  if (is_unconfirmed()) return {};
  // What waits in memory is not written: a commit with remote_write waits for more than that.
  return {.write = durable_, .flush = acknowledged_};
}

}  // namespace standfast::wal
