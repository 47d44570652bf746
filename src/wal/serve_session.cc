#include "wal/serve_session.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "pg/format/wal_file.h"

namespace standfast::wal {

using base::Clock;
using serve::Instant;

ServeSession::ServeSession(Options options, const Instant& now)
    : options_(std::move(options)),
      instant_(now),
      last_progress_(now.now),
      authentication_deadline_(now.now + options_.authentication_timeout) {
  CHECK(pg::is_valid_wal_segment_size(options_.facts.segment_bytes));
}

bool ServeSession::wants_input() const {
  if (unsent_bytes_ >= kInputGateBytes) return false;
  switch (state_) {
    case State::kStartup:
    case State::kSaslMechanism:
    case State::kSaslProof:
    case State::kIdle:
      return true;
    case State::kStreaming:
      return !stream_->has_received_done || !stream_->has_sent_done;
    case State::kTlsHandshake:
    case State::kSaslChallenge:
    case State::kSaslVerdict:
    case State::kAsking:
    case State::kEnded:
      return false;
  }
  return false;
}

bool ServeSession::is_logged_in() const {
  return state_ == State::kIdle || state_ == State::kAsking || state_ == State::kStreaming;
}

std::size_t ServeSession::receive(base::Bytes bytes, const Instant& now) {
  instant_ = now;
  base::Bytes rest = bytes;
  while (!rest.empty() && wants_input()) {
    const auto message = framer_.take(rest);
    if (!message) {
      end_for_violation(message.error());
      break;
    }
    if (*message) on_message(**message, rest);
  }
  return bytes.size() - rest.size();
}

void ServeSession::on_message(const pg::FrontendMessage& message, base::Bytes& rest) {
  switch (state_) {
    case State::kStartup:
      return on_startup_packet(message.body, rest);
    case State::kSaslMechanism:
    case State::kSaslProof:
      return on_sasl_message(message);
    case State::kIdle:
      return on_idle_message(message);
    case State::kStreaming:
      return on_streaming_message(message);
    case State::kTlsHandshake:
    case State::kSaslChallenge:
    case State::kSaslVerdict:
    case State::kAsking:
    case State::kEnded:
      return;  // no input is wanted
  }
}

void ServeSession::on_input_end() {
  end("the client closed the connection");
}

void ServeSession::on_sent(std::size_t bytes, const Instant& now) {
  CHECK(bytes <= unsent_bytes_);
  instant_ = now;
  unsent_bytes_ -= bytes;
  last_progress_ = now.now;
  continue_stream();
}

void ServeSession::on_store(serve::StoreView store, const Instant& now) {
  instant_ = now;
  options_.store = std::move(store);
  continue_stream();
}

void ServeSession::on_stop(const Instant& now) {
  instant_ = now;
  if (state_ == State::kEnded || stop_deadline_) return;
  if (state_ == State::kStartup || state_ == State::kTlsHandshake) return end("this server stops");
  if (state_ != State::kStreaming) {
    return end_fatally("57P01", "terminating connection due to administrator command");
  }
  stop_deadline_ = now.now + options_.stop_patience;
  continue_stream();
}

void ServeSession::on_time(const Instant& now) {
  instant_ = now;
  if (state_ == State::kEnded) return;
  if (!is_logged_in()) {
    if (now.now < authentication_deadline_) return;
    // Who has not even said his name gets no answer, as from PostgreSQL.
    if (state_ == State::kStartup || state_ == State::kTlsHandshake) return end("no startup packet in time");
    return end_fatally("57014", "canceling authentication due to timeout");
  }
  if (state_ == State::kStreaming) return watch_standby();
  end_if_stalled();
}

void ServeSession::end_if_stalled() {
  const bool has_timeout = options_.wal_sender_timeout > Clock::duration::zero();
  if (!has_timeout || unsent_bytes_ == 0 || instant_.now < last_progress_ + options_.wal_sender_timeout)
    return;
  end("the client does not read its answers");
}

std::optional<Clock::time_point> ServeSession::next_wakeup() const {
  if (state_ == State::kEnded) return std::nullopt;
  if (!is_logged_in()) return authentication_deadline_;
  std::optional<Clock::time_point> wakeup;
  if (options_.wal_sender_timeout > Clock::duration::zero()) {
    const auto timeout = options_.wal_sender_timeout;
    if (state_ == State::kStreaming) {
      wakeup = stream_->last_reply + (is_asking_standby() ? timeout : timeout / 2);
    } else if (unsent_bytes_ > 0) {
      wakeup = last_progress_ + timeout;
    }
  }
  if (stop_deadline_) wakeup = wakeup ? std::min(*wakeup, *stop_deadline_) : *stop_deadline_;
  return wakeup;
}

void ServeSession::send(std::string bytes) {
  if (unsent_bytes_ == 0) last_progress_ = instant_.now;
  unsent_bytes_ += bytes.size();
  if (!actions_.empty()) {
    if (auto* last = std::get_if<serve::Send>(&actions_.back())) {
      last->bytes += bytes;
      return;
    }
  }
  actions_.emplace_back(serve::Send{std::move(bytes)});
}

void ServeSession::end(std::string reason) {
  if (state_ == State::kEnded) return;
  state_ = State::kEnded;
  actions_.emplace_back(serve::End{std::move(reason)});
}

void ServeSession::end_fatally(const char* sqlstate, std::string message, std::string hint) {
  send(pg::encode_report(
      {.severity = pg::Severity::kFatal, .sqlstate = sqlstate, .message = message, .hint = std::move(hint)}));
  end(std::move(message));
}

void ServeSession::end_for_violation(const base::Error& error) {
  // Before its first packet is understood, who speaks may not be a client of ours at all: no answer.
  if (state_ == State::kStartup) return end(error.message);
  end_fatally(error.sqlstate.c_str(), error.message);
}

}  // namespace standfast::wal
