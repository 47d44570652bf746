#include "witness/serve_connection.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "pg/format/backend_message.h"
#include "witness/pg_time.h"

namespace standfast::witness {

namespace serve = wal::serve;
using base::Clock;
using base::Error;
using wal::ServeSession;

namespace {

constexpr std::size_t kReadBytes = std::size_t{16} << 10U;
/// For the last words to a client.
constexpr base::Seconds kEndPatience(5);
/// Before a clear byte of a handshake has to be out.
constexpr base::Seconds kHandshakePatience(30);
constexpr base::Seconds kSlotPatience(10);
constexpr base::Seconds kLongestWait(60);
constexpr std::size_t kKeptOutBytes = std::size_t{64} << 10U;

ServeSession::Options session_options(ConnectionHost& host, const ServeConnection::Options& options,
                                      const serve::StoreView& view) {
  return {.facts = host.facts(),
          .store = view,
          .tls = options.tls,
          .key = {.process_id = static_cast<std::uint32_t>(options.id), .secret = 0},
          .authentication_timeout = options.authentication_timeout,
          .wal_sender_timeout = options.wal_sender_timeout,
          .stop_patience = options.stop_patience};
}

}  // namespace

serve::Instant ServeConnection::now() {
  return {Clock::now(), now_in_pg_microseconds()};
}

base::Result<std::unique_ptr<ServeConnection>> ServeConnection::open(ConnectionHost& host, Options options) {
  const int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd < 0) {
    Error error = base::error_from_errno(errno, "could not make an event for a connection");
    close(options.accepted.fd);
    return error;
  }
  return std::unique_ptr<ServeConnection>(new ServeConnection(host, std::move(options), wake_fd));
}

ServeConnection::ServeConnection(ConnectionHost& host, Options options, int wake_fd)
    : host_(host),
      options_(std::move(options)),
      channel_(options_.accepted.fd),
      wake_fd_(wake_fd),
      view_(host.news().view()),
      session_(session_options(host, options_, *view_), now()),
      reader_(host.files(), host.folder(), host.facts().segment_bytes) {}

ServeConnection::~ServeConnection() {
  close(wake_fd_);
}

void ServeConnection::wake() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof one);
}

void ServeConnection::stop() {
  stop_asked_ = true;
  wake();
}

void ServeConnection::drop() {
  is_dropped_ = true;
  shutdown(channel_.fd(), SHUT_RDWR);
  wake();
}

void ServeConnection::on_slot_lost() {
  slot_is_lost_ = true;
  wake();
}

void ServeConnection::run() {
  while (!is_over_ && !is_dropped_) step();
  subscription_.reset();
  host_.slots().end_session(options_.id);
}

/// Never waits while there is something to do.
void ServeConnection::step() {
  take_wakeups();
  perform_all();
  if (is_over_) return;
  bool has_moved = write_some();
  has_moved |= read_some();
  if (const auto due = session_.next_wakeup(); due && Clock::now() >= *due) session_.on_time(now());
  perform_all();
  publish_status();
  has_moved |= subscribe_while_streaming();
  if (!is_over_ && !has_moved) wait();
}

/// True: what was published before has to be looked at.
bool ServeConnection::subscribe_while_streaming() {
  const bool is_streaming = session_.stream_status().has_value();
  if (is_streaming == subscription_.has_value()) return false;
  if (is_streaming) {
    subscription_.emplace(host_.news(), wake_fd_);
  } else {
    subscription_.reset();
  }
  return is_streaming;
}

void ServeConnection::take_view() {
  auto view = host_.news().view();
  if (view == view_) return;
  view_ = std::move(view);
  session_.on_store(*view_, now());
}

void ServeConnection::take_wakeups() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t read_bytes = ::read(wake_fd_, &count, sizeof count);
  take_view();
  if (slot_is_lost_.exchange(false) && host_.slots().has_lost(options_.id)) session_.on_slot_lost();
  if (stop_asked_ && !std::exchange(is_stopping_, true)) session_.on_stop(now());
}

bool ServeConnection::read_some() {
  if (!session_.wants_input()) return false;
  if (in_.empty()) {
    in_.resize(kReadBytes);
    const auto count = channel_.read(std::as_writable_bytes(std::span(in_)));
    if (!count || !*count || **count == 0) {
      in_.clear();
      if (!count) {
        lose(count.error());
      } else if (*count) {
        session_.on_input_end();
      }
      return false;
    }
    in_.resize(**count);
    take_view();  // who asks knows of what was published before he did
  }
  const std::size_t taken = session_.receive(base::as_bytes(in_), now());
  in_.erase(0, taken);
  return taken > 0;
}

bool ServeConnection::write_some() {
  if (out_.size() == out_sent_) return false;
  const auto count = channel_.write(base::as_bytes(out_).subspan(out_sent_));
  if (!count) {
    lose(count.error());
    return false;
  }
  out_sent_ += *count;
  if (out_sent_ == out_.size()) {
    out_.clear();
    out_sent_ = 0;
  } else if (out_sent_ > kKeptOutBytes) {
    out_.erase(0, out_sent_);
    out_sent_ = 0;
  }
  if (*count > 0) session_.on_sent(*count, now());
  return *count > 0;
}

void ServeConnection::wait() {
  const bool writes = out_.size() > out_sent_;
  const bool reads = session_.wants_input();
  using Wants = net::TlsChannel::Wants;
  const Wants wants =
      writes ? (reads ? Wants::kBoth : Wants::kWrite) : (reads ? Wants::kRead : Wants::kNothing);
  auto until = base::Deadline::after(kLongestWait);
  if (const auto due = session_.next_wakeup()) until = until.earlier(base::Deadline::at(*due));
  std::array<pollfd, 2> fds = {{{channel_.fd(), channel_.poll_events(wants), 0}, {wake_fd_, POLLIN, 0}}};
  // What ended the wait is found out by asking each; but for a connection that is gone while nothing is
  // wanted of it.
  const int count = poll(fds.data(), fds.size(), static_cast<int>(until.remaining().count()));
  if (count > 0 && wants == Wants::kNothing && fds[0].revents != 0) session_.on_input_end();
}

void ServeConnection::note(std::string_view line) {
  if (!is_dropped_) host_.note(fmt::format("{}: {}", options_.accepted.peer, line));
}

void ServeConnection::lose(const Error& error) {
  note(error.message);
  is_over_ = true;
}

void ServeConnection::perform_all() {
  while (!is_over_) {
    auto actions = session_.take_actions();
    if (actions.empty()) return;
    for (serve::Action& action : actions) {
      if (is_over_) return;
      perform(action);
    }
  }
}

void ServeConnection::perform(serve::Action& action) {
  store::Slots& slots = host_.slots();
  if (const auto* send = std::get_if<serve::Send>(&action)) {
    out_ += send->bytes;
  } else if (const auto* wal = std::get_if<serve::SendWal>(&action)) {
    CHECK(wal->wal_bytes <= wal_.size());
    out_ += wal->header;
    out_ += base::as_text(base::Bytes(wal_).first(wal->wal_bytes));
  } else if (std::holds_alternative<serve::StartTls>(action)) {
    start_tls();
  } else if (const auto* begin = std::get_if<serve::BeginScram>(&action)) {
    begin_scram(*begin);
  } else if (const auto* proof = std::get_if<serve::ContinueScram>(&action)) {
    continue_scram(*proof);
  } else if (const auto* login = std::get_if<serve::LoggedIn>(&action)) {
    log_in(*login);
  } else if (const auto* history = std::get_if<serve::ReadHistory>(&action)) {
    read_history_file(history->timeline);
  } else if (const auto* create = std::get_if<serve::CreateSlot>(&action)) {
    session_.on_slot(slots.create(*create, *view_, options_.id), now());
  } else if (const auto* slot = std::get_if<serve::ReadSlot>(&action)) {
    session_.on_slot(slots.read(slot->slot, *view_), now());
  } else if (const auto* drop_wish = std::get_if<serve::DropSlot>(&action)) {
    session_.on_slot(slots.drop(*drop_wish, options_.id, base::Deadline::after(kSlotPatience)), now());
  } else if (const auto* acquire = std::get_if<serve::AcquireSlot>(&action)) {
    session_.on_slot(slots.acquire(acquire->slot, options_.id), now());
  } else if (const auto* advance = std::get_if<serve::AdvanceSlot>(&action)) {
    slots.advance(options_.id, *advance);
  } else if (std::holds_alternative<serve::ReleaseSlot>(action)) {
    slots.release(options_.id);
  } else if (const auto* wish = std::get_if<serve::ReadWal>(&action)) {
    read_wal(*wish);
  } else if (const auto* feedback = std::get_if<serve::StandbyFeedback>(&action)) {
    take_feedback(feedback->feedback);
  } else if (const auto* end = std::get_if<serve::End>(&action)) {
    finish(end->reason);
  } else {
    CHECK(std::holds_alternative<serve::StandbyPositions>(action));  // stream_status() has them
  }
}

void ServeConnection::start_tls() {
  // The bytes before it go out in clear, and are counted as sent.
  const auto wait = env::Wait::for_at_most(kHandshakePatience);
  while (!is_over_ && out_.size() > out_sent_) {
    if (!write_some() && env::wait_for(channel_.fd(), POLLOUT, wait) != env::Ready::kYes) is_over_ = true;
  }
  if (is_over_) return;
  const auto context = host_.tls();
  // A reload may have taken it away since the client was offered it.
  if (!context) return lose(base::Error(base::ErrorCode::kConnect, "TLS is not offered any more"));
  if (const auto done = channel_.accept_tls(context->get(), wait); !done) return lose(done.error());
  end_point_hash_ = context->end_point_hash();
  session_.on_tls(end_point_hash_.empty() ? serve::ChannelBinding::kUnavailable
                                          : serve::ChannelBinding::kAvailable);
}

void ServeConnection::begin_scram(const serve::BeginScram& begin) {
  auto nonce = make_scram_nonce();
  if (!nonce) return lose(nonce.error());
  scram_.emplace(*host_.users(), host_.secret(),
                 ScramExchange::Options{.user = begin.user,
                                        .mechanism = begin.mechanism,
                                        .end_point_hash = end_point_hash_,
                                        .nonce = *std::move(nonce)});
  const auto challenge = scram_->challenge(begin.client_first);
  if (!challenge) return session_.on_scram_refused();
  session_.on_scram_challenge(base::as_bytes(*challenge));
}

void ServeConnection::continue_scram(const serve::ContinueScram& proof) {
  CHECK(scram_);
  const auto verdict = scram_->verdict(proof.client_final);
  scram_.reset();
  if (!verdict) return session_.on_scram_refused();
  session_.on_scram_accepted(base::as_bytes(*verdict));
}

void ServeConnection::log_in(const serve::LoggedIn& login) {
  if (!host_.admit(options_.id)) {
    out_ += pg::encode_report({.severity = pg::Severity::kFatal,
                               .sqlstate = "53300",
                               .message = "sorry, too many clients already",
                               .hint = "Raise the bound on connections of this server."});
    return finish("too many clients");
  }
  status_.user = login.user;
  status_.application_name = login.application_name;
  status_.peer = options_.accepted.peer;
  host_.note(
      fmt::format("{}: \"{}\" has logged in{}", options_.accepted.peer, login.user,
                  login.application_name.empty() ? "" : fmt::format(" as \"{}\"", login.application_name)));
}

void ServeConnection::read_history_file(pg::TimelineId timeline) {
  auto content = read_history(host_.files(), host_.folder(), timeline);
  if (content) return session_.on_history(*std::move(content));
  note(content.error().message);
  session_.on_history_failed(content.error());
}

void ServeConnection::read_wal(const serve::ReadWal& wish) {
  wal_.resize(static_cast<std::size_t>(wish.end.bytes_since(wish.start)));
  const auto outcome = reader_.read(*view_, wish.timeline, wish.start, wal_);
  if (!outcome) {
    note(outcome.error().message);
    return session_.on_wal_failed(outcome.error());
  }
  if (*outcome == store::WalReader::Outcome::kGone) return session_.on_wal_gone();
  session_.on_wal_read(now());
}

/// It is there before the host is told that there is any, and in one place before it is gone from the other.
void ServeConnection::take_feedback(const pg::HotStandbyFeedback& feedback) {
  const bool is_kept_with_slot = host_.slots().keep_feedback(options_.id, feedback);
  {
    const std::lock_guard lock(status_mutex_);
    own_feedback_.reset();
    if (!is_kept_with_slot) own_feedback_ = feedback;
  }
  host_.on_feedback();
}

void ServeConnection::finish(const std::string& reason) {
  const auto wait = env::Wait::for_at_most(kEndPatience);
  while (!is_over_ && out_.size() > out_sent_) {
    const auto count = channel_.write(base::as_bytes(out_).subspan(out_sent_));
    if (!count) break;
    out_sent_ += *count;
    if (*count > 0) continue;
    const short events = channel_.poll_events(net::TlsChannel::Wants::kWrite);
    if (env::wait_for(channel_.fd(), events, wait) != env::Ready::kYes) break;
  }
  note(reason);
  is_over_ = true;
}

void ServeConnection::publish_status() {
  const auto stream_status = session_.stream_status();
  const std::lock_guard lock(status_mutex_);
  is_streaming_ = stream_status.has_value();
  if (stream_status) status_.status = *stream_status;
}

std::optional<pg::HotStandbyFeedback> ServeConnection::own_feedback() const {
  const std::lock_guard lock(status_mutex_);
  return own_feedback_;
}

std::optional<ServedStream> ServeConnection::stream() const {
  const std::lock_guard lock(status_mutex_);
  return is_streaming_ ? std::optional(status_) : std::nullopt;
}

}  // namespace standfast::witness
