#include "agent/session.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <sys/socket.h>
#include <unistd.h>

namespace standfast::agent {

using base::Bytes;
using base::Deadline;
using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

/// For the last words to a client, and until it has closed.
constexpr base::Seconds kLastPatience(2);
constexpr std::size_t kMaxIgnoredBytes = std::size_t{1} << 20U;
constexpr base::Seconds kServerPatience(30);

/// As a server that cannot be reached: it may be that only connections are left which have broken and not
/// been noticed, so a copy tries again, as after a break.
Error too_many() {
  return {ErrorCode::kConnect, "this agent serves as many connections as it may",
          "Try again when a copy has ended, use fewer streams, or raise max_connections of the agent."};
}

}  // namespace

Result<std::unique_ptr<Session>> Session::open(SessionHost& host, Options options) {
  auto stop = env::StopEvent::make();
  if (!stop) {
    close(options.fd);
    return std::move(stop).error().with_context("could not serve a connection");
  }
  return std::unique_ptr<Session>(new Session(host, std::move(options), *std::move(stop)));
}

Session::Session(SessionHost& host, Options options, std::unique_ptr<env::StopEvent> stop)
    : host_(host), options_(std::move(options)), channel_(options_.fd), stop_(std::move(stop)) {}

Session::~Session() {
  // There may have been the secret of a token in it.
  OPENSSL_cleanse(in_.data(), in_.size());
}

void Session::stop() {
  stop_->set();
}

void Session::drop() {
  stop_->set();
  shutdown(channel_.fd(), SHUT_RDWR);
}

std::string Session::peer_address() const {
  return options_.peer.substr(0, options_.peer.rfind(':'));
}

void Session::note(std::string_view line) {
  host_.note(peer_ ? fmt::format("{} ({}): {}", options_.peer, peer_->name, line)
                   : fmt::format("{}: {}", options_.peer, line));
}

env::Wait Session::wait_for_at_most(base::Clock::duration patience) const {
  return env::Wait::for_at_most(patience, stop_.get());
}

// ---------------------------------------------------------------- its life

void Session::run() {
  if (const auto served = serve(); !served) end_with(served.error());
  const bool had_backup = owned_ != nullptr;
  owned_.reset();
  if (had_backup) note("its backup ends with its connection");
  shutdown(channel_.fd(), SHUT_RDWR);  // the client is told, however long this object is kept
}

Result<void> Session::serve() {
  cpu_ = {};  // of the thread that serves
  TRY(meet());
  while (!is_over_) {
    const std::optional<Bytes> message = TRY(next_message());
    if (!message) return base::ok();
    const Request request = TRY(parse_request(*message));
    // What did not count any more while it was silent, or while it asked without a pause.
    TRY(check_now_and_then());
    TRY(take(request));
    last_request_ = base::Clock::now();
  }
  linger();
  return base::ok();
}

Result<void> Session::meet() {
  const auto context = host_.tls();
  peer_ = TRY(context->accept(channel_, wait_for_at_most(options_.patience.handshake)));
  has_met_ = true;
  if (peer_) speaker_ = Speaker::kMember;
  in_.resize(max_message_bytes(speaker_));
  last_request_ = base::Clock::now();
  // A stranger counts among those that have not logged in, for as long as it stays.
  if (!peer_ || host_.admit(options_.id)) return base::ok();
  is_over_ = true;
  const Error full = too_many();
  note(full.message);
  return refuse(full);
}

void Session::end_with(const Error& error) {
  if (error.code == ErrorCode::kCancelled) return;
  note(error.message);
  if (!has_met_ || is_mute_ || error.code == ErrorCode::kConnect) return;
  const std::string words = encode(Answer(refusal_of(error)));
  if (channel_.write_all(base::as_bytes(words), wait_for_at_most(kLastPatience))) linger();
}

/// A socket that is closed with something unread in it takes along what was said last.
void Session::linger() {
  shutdown(channel_.fd(), SHUT_WR);
  const env::Wait wait = wait_for_at_most(kLastPatience);
  for (std::size_t ignored = 0; ignored < kMaxIgnoredBytes;) {
    const auto count = channel_.read_some(in_, wait);
    if (!count || *count == 0) return;
    ignored += *count;
  }
}

// ---------------------------------------------------------------- what comes in

Result<std::optional<Bytes>> Session::next_message() {
  std::optional<Deadline> message_until;
  while (true) {
    const Bytes held = Bytes(in_).subspan(in_begin_, in_end_ - in_begin_);
    const std::optional<std::size_t> size = TRY(message_bytes(held, speaker_));
    if (size && held.size() >= *size) {
      in_begin_ += *size;
      return std::optional(held.first(*size));
    }
    const bool has_begun = !held.empty();
    if (has_begun && !message_until) message_until = Deadline::after(options_.patience.message);
    std::copy(held.begin(), held.end(), in_.begin());
    in_end_ -= std::exchange(in_begin_, 0);
    const auto count = TRY(channel_.read(std::span(in_).subspan(in_end_)));
    if (!count) {
      TRY(wait_for_client(message_until));
    } else if (*count > 0) {
      in_end_ += *count;
    } else if (has_begun) {
      return Error(ErrorCode::kConnect, "the client has closed in the middle of a message");
    } else {
      return std::optional<Bytes>();
    }
  }
}

Result<void> Session::wait_for_client(const std::optional<Deadline>& message_until) {
  while (true) {
    TRY(check_now_and_then());
    const Deadline limit = message_until.value_or(silent_until());
    if (limit.passed()) {
      return Error(ErrorCode::kTimeout, message_until ? "the rest of a message did not come in time"
                                                      : "the client was silent for too long");
    }
    const short events = channel_.poll_events(net::TlsChannel::Wants::kRead);
    switch (env::wait_for(channel_.fd(), events, {limit.earlier(next_check_), stop_.get()})) {
      case env::Ready::kYes:
        return base::ok();
      case env::Ready::kStopped:
        return env::cancelled_error();
      case env::Ready::kTimeout:
        break;  // what it was until is looked at again: others of the backup may have been busy
    }
  }
}

Deadline Session::silent_until() const {
  const SessionPatience& patience = options_.patience;
  if (!has_greeted_) return Deadline::at(last_request_ + patience.hello);
  const auto open = part_ ? part_->lock() : nullptr;
  if (!open) return Deadline::at(last_request_ + patience.silence);
  return Deadline::at(std::max(last_request_, open->last_use()) + patience.silence_in_backup);
}

Result<void> Session::check_now_and_then() {
  if (stop_->is_set()) return env::cancelled_error();
  if (!next_check_.passed()) return base::ok();
  next_check_ = Deadline::after(options_.patience.between_checks);
  if (peer_ && peer_->expires <= host_.now()) {
    return Error(ErrorCode::kCertificate, "the certificate of this connection has expired",
                 "Renew the member's certificate, or let its host join the cluster again.");
  }
  if (peer_ && host_.is_revoked(peer_->serial)) {
    return Error(ErrorCode::kCertificate, "the certificate of this connection is revoked",
                 "Let its host join the cluster again, with a new token of \"standfast primary setup\".");
  }
  if (owned_ && owned_->open()) {
    const auto alive = owned_->check(wait_for_at_most(kServerPatience));
    if (!alive) note(alive.error().message);
  }
  return base::ok();
}

// ---------------------------------------------------------------- what goes out

Result<void> Session::send(Bytes bytes) {
  auto sent = channel_.write_all(bytes, wait_for_at_most(options_.patience.answer));
  if (sent) return sent;
  is_mute_ = true;
  if (sent.error().code != ErrorCode::kTimeout) return sent;
  return Error(ErrorCode::kTimeout, "the client does not read what it asked for");
}

Result<void> Session::say(const Answer& what) {
  // It holds names of files and texts of a server.
  if (const auto allowed = check(what); !allowed) {
    return refuse(allowed.error().with_context("what this agent would answer is not allowed"));
  }
  return send(base::as_bytes(encode(what)));
}

Result<void> Session::refuse(const Error& error) {
  return send(base::as_bytes(encode(Answer(refusal_of(error)))));
}

}  // namespace standfast::agent
