#include "wal/receive_session.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"

namespace standfast::wal {

using base::Error;
using base::ErrorCode;
using base::Result;

ReceiveSession::ReceiveSession(const Options& options, base::Clock::time_point now)
    : options_(options), written_(options.start), flushed_(options.start), next_status_at_(now) {
  CHECK(options.segment_bytes > 0);
}

Result<std::vector<Action>> ReceiveSession::on_message(base::Bytes message, base::Clock::time_point now) {
  const auto parsed = TRY(pg::parse_replication_message(message));
  if (const auto* wal = std::get_if<pg::WalData>(&parsed)) {
    auto actions = TRY(on_wal(*wal));
    if (now >= next_status_at_) std::ranges::copy(on_time(now), std::back_inserter(actions));
    return actions;
  }
  if (std::get<pg::Keepalive>(parsed).reply_requested) {
    // A server that shuts down waits until all it sent is durable here, so the answer is not given before.
    next_status_at_ = now;
  }
  return on_time(now);
}

Result<std::vector<Action>> ReceiveSession::on_wal(const pg::WalData& wal) {
  std::vector<Action> actions;
  if (ended_) return actions;
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
  end_if_stop_is_reached(actions);
  return actions;
}

std::vector<Action> ReceiveSession::on_time(base::Clock::time_point now) {
  std::vector<Action> actions;
  if (now < next_status_at_ || ended_) return actions;
  next_status_at_ = now + options_.status_interval;
  if (flushed_ < written_) actions.emplace_back(Flush{});
  actions.emplace_back(SendStatus{});
  return actions;
}

std::vector<Action> ReceiveSession::set_stop(pg::Lsn stop) {
  stop_ = stop;
  std::vector<Action> actions;
  end_if_stop_is_reached(actions);
  return actions;
}

void ReceiveSession::end_if_stop_is_reached(std::vector<Action>& actions) {
  if (ended_ || !stop_ || written_ < *stop_) return;
  ended_ = true;
  actions.emplace_back(Flush{});
  actions.emplace_back(SendStatus{});
  actions.emplace_back(EndStream{});
}

void ReceiveSession::on_flushed(pg::Lsn lsn) {
  CHECK(lsn <= written_);
  flushed_ = std::max(flushed_, lsn);
}

pg::StandbyStatus ReceiveSession::status() const {
  CHECK(flushed_ <= written_);
  return {.write = written_, .flush = flushed_};
}

}  // namespace standfast::wal
