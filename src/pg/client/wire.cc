#include "pg/client/wire.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <libpq-fe.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include "pg/format/backend_reply.h"

namespace standfast::client {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::size_t kUsualBytes = std::size_t{512} << 10U;
/// Less room than this at the end, and what is held moves to the front before more is read.
constexpr std::size_t kLeastRoomBytes = std::size_t{128} << 10U;

Error lost(std::string message) {
  Error error(ErrorCode::kConnect, std::move(message));
  error.retryable = true;
  return error;
}

Error closed_by_server() {
  return lost("server closed the connection unexpectedly");
}

Error not_received(int error_number) {
  return lost(fmt::format("could not receive data from server: {}", std::strerror(error_number)));
}

bool is_for_later(int error_number) {
  return error_number == EAGAIN || error_number == EWOULDBLOCK;
}

/// What OpenSSL says beside its want for more.
Error not_received_by_tls(int reason, int error_number) {
  if (reason == SSL_ERROR_ZERO_RETURN) return closed_by_server();
  if (reason == SSL_ERROR_SYSCALL && error_number != 0) return not_received(error_number);
  const unsigned long code = ERR_get_error();
  if (code == 0) return closed_by_server();
  char text[256];
  ERR_error_string_n(code, text, sizeof text);
  return lost(fmt::format("could not receive data from server: TLS: {}", text));
}

}  // namespace

std::optional<Wire> Wire::of(pg_conn& connection) {
  auto* tls = static_cast<ssl_st*>(PQsslStruct(&connection, "OpenSSL"));
  if (PQgssEncInUse(&connection) != 0 || (tls == nullptr && PQsslInUse(&connection) != 0)) {
    return std::nullopt;
  }
  return Wire(PQsocket(&connection), tls);
}

Wire::Wire(int fd, ssl_st* tls)
    : fd_(fd),
      tls_(tls),
      awaited_events_(POLLIN),
      buffer_(new std::byte[kUsualBytes]),
      capacity_(kUsualBytes) {}

// ---------------------------------------------------------------- in

Result<std::optional<Wire::Message>> Wire::front(const env::Wait& wait) {
  while (true) {
    const base::Bytes held(buffer_.get() + begin_, end_ - begin_);
    const std::size_t whole = TRY(pg::backend_message_bytes(held)).value_or(pg::kBackendHeaderBytes);
    if (held.size() >= whole) {
      front_bytes_ = whole;
      return std::optional(
          Message{static_cast<char>(held.front()), held.first(whole).subspan(pg::kBackendHeaderBytes)});
    }
    make_room(whole);
    if (std::exchange(is_drained_, false)) {
      if (wait.deadline.passed()) return std::optional<Message>();
      const env::Ready ready = env::wait_for(fd_, awaited_events_, wait);
      if (ready == env::Ready::kTimeout) return std::optional<Message>();
      if (ready == env::Ready::kStopped) return env::cancelled_error();
    }
    if (TRY(tls_ != nullptr ? read_tls() : read_some()) == Got::kNothingYet) is_drained_ = true;
  }
}

void Wire::drop_front() {
  begin_ += std::exchange(front_bytes_, 0);
  if (begin_ == end_) begin_ = end_ = 0;
}

void Wire::make_room(std::size_t whole_message_bytes) {
  const std::size_t held = end_ - begin_;
  const std::size_t wanted = std::max(whole_message_bytes - held, kLeastRoomBytes);
  if (capacity_ - end_ >= wanted) return;
  if (held + wanted > capacity_) {
    capacity_ = held + wanted;
    std::unique_ptr<std::byte[]> larger(new std::byte[capacity_]);
    std::memcpy(larger.get(), buffer_.get() + begin_, held);
    buffer_ = std::move(larger);
  } else {
    std::memmove(buffer_.get(), buffer_.get() + begin_, held);
  }
  begin_ = 0;
  end_ = held;
}

Result<Wire::Got> Wire::read_some() {
  const std::size_t room = capacity_ - end_;
  const ssize_t count = recv(fd_, buffer_.get() + end_, room, MSG_DONTWAIT);
  if (count == 0) return closed_by_server();
  if (count < 0) {
    if (errno == EINTR) return Got::kSome;
    if (is_for_later(errno)) return Got::kNothingYet;
    return not_received(errno);
  }
  end_ += static_cast<std::size_t>(count);
  // That there was less than could be taken says that there is no more, without a call that asks.
  is_drained_ = static_cast<std::size_t>(count) < room;
  return Got::kSome;
}

Result<Wire::Got> Wire::read_tls() {
  ERR_clear_error();
  errno = 0;
  std::size_t count = 0;
  if (SSL_read_ex(tls_, buffer_.get() + end_, capacity_ - end_, &count) == 1) {
    end_ += count;
    return Got::kSome;
  }
  const int error_number = errno;
  const int reason = SSL_get_error(tls_, 0);
  if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
    awaited_events_ = reason == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
    return Got::kNothingYet;
  }
  return not_received_by_tls(reason, error_number);
}

// ---------------------------------------------------------------- out

Result<void> Wire::send(base::Bytes message, const env::Wait& wait) {
  base::Bytes rest = message;
  while (!rest.empty() && !has_lost_server_) {
    const short awaited = tls_ != nullptr ? write_tls(rest) : write_some(rest);
    if (awaited == 0) continue;
    switch (env::wait_for(fd_, awaited, wait)) {
      case env::Ready::kYes:
        break;
      case env::Ready::kTimeout: {
        Error error(ErrorCode::kTimeout, "the server did not take what was sent to it in time");
        error.retryable = true;
        return error;
      }
      case env::Ready::kStopped:
        return env::cancelled_error();
    }
  }
  return base::ok();
}

short Wire::write_some(base::Bytes& rest) {
  const ssize_t count = ::send(fd_, rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (count >= 0) {
    rest = rest.subspan(static_cast<std::size_t>(count));
    return 0;
  }
  if (is_for_later(errno)) return POLLOUT;
  has_lost_server_ = errno != EINTR;
  return 0;
}

short Wire::write_tls(base::Bytes& rest) {
  ERR_clear_error();
  std::size_t count = 0;
  if (SSL_write_ex(tls_, rest.data(), rest.size(), &count) == 1) {
    rest = rest.subspan(count);
    return 0;
  }
  const int reason = SSL_get_error(tls_, 0);
  if (reason == SSL_ERROR_WANT_READ) return POLLIN;
  if (reason == SSL_ERROR_WANT_WRITE) return POLLOUT;
  has_lost_server_ = true;
  return 0;
}

}  // namespace standfast::client
