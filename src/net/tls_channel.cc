#include "net/tls_channel.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fmt/format.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace standfast::net {

using base::Error;
using base::ErrorCode;
using base::Result;

static_assert(TlsChannel::kReadable == POLLIN && TlsChannel::kWritable == POLLOUT);

namespace {

Error lost(int error_number) {
  return {ErrorCode::kConnect, base::error_from_errno(error_number, "the connection was lost").message};
}

/// What the other side says when it refuses our certificate, or wants one (RFC 8446 6.2).
bool is_about_our_certificate(int reason) {
  constexpr std::array kAlerts = {SSL_AD_BAD_CERTIFICATE,     SSL_AD_UNSUPPORTED_CERTIFICATE,
                                  SSL_AD_CERTIFICATE_REVOKED, SSL_AD_CERTIFICATE_EXPIRED,
                                  SSL_AD_CERTIFICATE_UNKNOWN, SSL_AD_UNKNOWN_CA,
                                  SSL_AD_DECRYPT_ERROR,       TLS13_AD_CERTIFICATE_REQUIRED};
  const int alert = reason - SSL_AD_REASON_OFFSET;
  return std::find(kAlerts.begin(), kAlerts.end(), alert) != kAlerts.end();
}

Error tls_error(const SSL* ssl) {
  const int reason = ERR_GET_REASON(ERR_peek_error());
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    ERR_clear_error();
    return {ErrorCode::kCertificate, fmt::format("the other side's certificate is refused: {}",
                                                 X509_verify_cert_error_string(SSL_get_verify_result(ssl)))};
  }
  if (is_about_our_certificate(reason)) {
    return {ErrorCode::kCertificate, "the other side refuses our certificate: " + take_openssl_error()};
  }
  return {ErrorCode::kConnect, "TLS failed: " + take_openssl_error()};
}

Result<void> wait_until(int fd, short need, const env::Wait& wait, const char* what) {
  const Error late(ErrorCode::kTimeout, fmt::format("no {} in time", what));
  // Whoever sends a byte at a time does not get more time by it.
  if (wait.deadline.passed()) return late;
  switch (env::wait_for(fd, need, wait)) {
    case env::Ready::kYes:
      return base::ok();
    case env::Ready::kTimeout:
      return late;
    case env::Ready::kStopped:
      return env::cancelled_error();
  }
  return late;
}

}  // namespace

Result<TlsContextHandle> new_tls_context(OldestTls oldest) {
  TlsContextHandle context(SSL_CTX_new(TLS_method()));
  const int version = oldest == OldestTls::k12 ? TLS1_2_VERSION : TLS1_3_VERSION;
  if (!context || SSL_CTX_set_min_proto_version(context.get(), version) != 1) {
    return openssl_failed("set OpenSSL up");
  }
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Of the three that TLS 1.3 has everywhere the one that takes the least CPU first: nothing here needs keys
  // of more than 128 bits.
  constexpr auto* kCiphers = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
  if (SSL_CTX_set_ciphersuites(context.get(), kCiphers) != 1) return openssl_failed("set OpenSSL up");
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  return context;
}

TlsChannel::~TlsChannel() {
  if (ssl_ != nullptr) SSL_free(ssl_);
  ERR_clear_error();
  close(fd_);
}

Result<short> TlsChannel::need_after(int result) const {
  const int error_number = errno;
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
      return kReadable;
    case SSL_ERROR_WANT_WRITE:
      return kWritable;
    case SSL_ERROR_ZERO_RETURN:
      return short{0};
    case SSL_ERROR_SYSCALL:
      ERR_clear_error();
      if (error_number == 0) return short{0};
      return lost(error_number);
    default:
      // Who goes without TLS's own goodbye is no error of ours.
      if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        ERR_clear_error();
        return short{0};
      }
      return tls_error(ssl_);
  }
}

Result<void> TlsChannel::accept_tls(SSL_CTX& context, const env::Wait& wait) {
  return shake_hands(context, SSL_accept, wait);
}

Result<void> TlsChannel::connect_tls(SSL_CTX& context, const env::Wait& wait) {
  return shake_hands(context, SSL_connect, wait);
}

Result<void> TlsChannel::shake_hands(SSL_CTX& context, int (*step)(SSL*), const env::Wait& wait) {
  CHECK(ssl_ == nullptr);
  ERR_clear_error();
  ssl_ = SSL_new(&context);
  if (ssl_ == nullptr || SSL_set_fd(ssl_, fd_) != 1) return openssl_failed("set TLS up");
  while (true) {
    ERR_clear_error();
    errno = 0;
    const int result = step(ssl_);
    if (result == 1) return base::ok();
    const short need = TRY(need_after(result));
    if (need == 0) {
      return Error(ErrorCode::kConnect, "the other side closed the connection during the TLS handshake");
    }
    TRY(wait_until(fd_, need, wait, "TLS handshake"));
  }
}

Result<std::optional<std::size_t>> TlsChannel::read(std::span<std::byte> into) {
  using Count = std::optional<std::size_t>;
  if (ssl_ == nullptr) {
    const ssize_t count = recv(fd_, into.data(), into.size(), 0);
    if (count >= 0) return Count(static_cast<std::size_t>(count));
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return Count();
    return lost(errno);
  }
  ERR_clear_error();
  errno = 0;
  std::size_t count = 0;
  const int result = SSL_read_ex(ssl_, into.data(), into.size(), &count);
  if (result == 1) {
    read_needs_ = kReadable;
    return Count(count);
  }
  const short need = TRY(need_after(result));
  if (need == 0) return Count(0);
  read_needs_ = need;
  return Count();
}

Result<std::size_t> TlsChannel::write(base::Bytes bytes) {
  if (ssl_ == nullptr) {
    const ssize_t count = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return std::size_t{0};
    return lost(errno);
  }
  ERR_clear_error();
  errno = 0;
  std::size_t count = 0;
  const int result = SSL_write_ex(ssl_, bytes.data(), bytes.size(), &count);
  if (result == 1) {
    write_needs_ = kWritable;
    return count;
  }
  const short need = TRY(need_after(result));
  if (need == 0) return Error(ErrorCode::kConnect, "the other side closed the connection");
  write_needs_ = need;
  return std::size_t{0};
}

Result<std::size_t> TlsChannel::read_some(std::span<std::byte> into, const env::Wait& wait) {
  while (true) {
    const auto count = TRY(read(into));
    if (count) return *count;
    const base::Stopwatch waiting;
    TRY(wait_until(fd_, poll_events(Wants::kRead), wait, "answer"));
    waited_for_bytes_ += waiting.elapsed();
  }
}

Result<void> TlsChannel::write_all(base::Bytes bytes, const env::Wait& wait) {
  while (!bytes.empty()) {
    const std::size_t count = TRY(write(bytes));
    bytes = bytes.subspan(count);
    if (count > 0) continue;
    const base::Stopwatch waiting;
    TRY(wait_until(fd_, poll_events(Wants::kWrite), wait, "room to write"));
    waited_for_room_ += waiting.elapsed();
  }
  return base::ok();
}

short TlsChannel::poll_events(Wants wants) const {
  switch (wants) {
    case Wants::kNothing:
      return 0;
    case Wants::kRead:
      return read_needs_;
    case Wants::kWrite:
      return write_needs_;
    case Wants::kBoth:
      return static_cast<short>(read_needs_ | write_needs_);
  }
  return 0;
}

}  // namespace standfast::net
