#include "pg/client/server_certificate.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace standfast::client {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

/// Length 8, then the number that stands for a protocol version here (pqcomm.h NEGOTIATE_SSL_CODE).
constexpr std::array<unsigned char, 8> kSslRequest = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};
/// Certificates taken of a chain; a longer one is no server's.
constexpr int kMaxChainCertificates = 16;

struct TlsContextFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct TlsFree {
  void operator()(SSL* tls) const { SSL_free(tls); }
};
struct AddressesFree {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  Socket& operator=(Socket&&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

Error connect_failure(const std::string& where, int error_number) {
  Error error(ErrorCode::kConnect, "could not connect to " + where + ": " + std::strerror(error_number),
              "Check the address, the port, that the server runs and listens there, and the firewall.");
  error.os_errno = error_number;
  error.retryable = true;
  return error;
}

Result<void> wait_until_ready(int fd, short events, const std::string& where, const env::Wait& wait) {
  switch (env::wait_for(fd, events, wait)) {
    case env::Ready::kYes:
      return base::ok();
    case env::Ready::kStopped:
      return env::cancelled_error();
    case env::Ready::kTimeout:
      break;
  }
  Error error(ErrorCode::kTimeout, "no answer from " + where + " in time",
              "Check the address, that the server listens there, and that a firewall does not drop the "
              "packets.");
  error.retryable = true;
  return error;
}

Result<Socket> connect_to(const addrinfo& address, const std::string& where, const env::Wait& wait) {
  Socket socket(::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.fd() < 0) return connect_failure(where, errno);
  if (::connect(socket.fd(), address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return connect_failure(where, errno);
    TRY(wait_until_ready(socket.fd(), POLLOUT, where, wait));
    int error_number = 0;
    socklen_t size = sizeof error_number;
    getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error_number, &size);
    if (error_number != 0) return connect_failure(where, error_number);
  }
  return socket;
}

Result<Socket> connect_to_any(const std::string& host, std::uint16_t port, const std::string& where,
                              const env::Wait& wait) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int code = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); code != 0) {
    return Error(ErrorCode::kConnect, "could not find the address of \"" + host + "\": " + gai_strerror(code),
                 "Check the host name and the name service.");
  }
  const std::unique_ptr<addrinfo, AddressesFree> addresses(found);
  Error last(ErrorCode::kConnect, "no address for " + where);
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    auto socket = connect_to(*address, where, wait);
    if (socket) return socket;
    last = std::move(socket).error();
    if (last.code == ErrorCode::kCancelled) break;
  }
  return last;
}

Result<void> ask_for_tls(int fd, const std::string& where, const env::Wait& wait) {
  TRY(wait_until_ready(fd, POLLOUT, where, wait));
  // Eight bytes into a fresh socket's empty buffer go whole or not at all.
  if (send(fd, kSslRequest.data(), kSslRequest.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(kSslRequest.size())) {
    return connect_failure(where, errno);
  }
  TRY(wait_until_ready(fd, POLLIN, where, wait));
  char answer = 0;
  if (recv(fd, &answer, 1, 0) != 1) {
    return Error(ErrorCode::kConnect, where + " closed the connection without an answer",
                 "Check that PostgreSQL listens on that port. The server's log tells more.");
  }
  if (answer == 'S') return base::ok();
  if (answer == 'N') {
    return Error(ErrorCode::kCertificate, where + " does not offer TLS",
                 "Turn ssl on there, or make a token that was made without it.");
  }
  return Error(ErrorCode::kProtocol, where + " does not answer as PostgreSQL does", "Check the port.");
}

std::string tls_error_text() {
  const unsigned long code = ERR_get_error();
  if (code == 0) return "the connection was closed";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "unknown error";
}

Result<void> handshake(SSL* tls, int fd, const std::string& where, const env::Wait& wait) {
  ERR_clear_error();
  while (true) {
    const int result = SSL_connect(tls);
    if (result == 1) return base::ok();
    const int reason = SSL_get_error(tls, result);
    if (reason == SSL_ERROR_WANT_READ) {
      TRY(wait_until_ready(fd, POLLIN, where, wait));
    } else if (reason == SSL_ERROR_WANT_WRITE) {
      TRY(wait_until_ready(fd, POLLOUT, where, wait));
    } else {
      return Error(ErrorCode::kProtocol, "no TLS with " + where + ": " + tls_error_text(),
                   "The server's log tells more; ssl_min_protocol_version and ssl_ciphers must allow TLS 1.2 "
                   "or newer.");
    }
  }
}

std::string pem_of(X509* certificate) {
  BIO* memory = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(memory, certificate);
  char* text = nullptr;
  const long length = BIO_get_mem_data(memory, &text);
  std::string pem(text, static_cast<std::size_t>(length));
  BIO_free(memory);
  return pem;
}

Result<PeerCertificate> certificate_of(SSL* tls, const std::string& where) {
  X509* leaf = SSL_get0_peer_certificate(tls);
  if (leaf == nullptr) return Error(ErrorCode::kCertificate, where + " shows no certificate");
  PeerCertificate peer;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int digest_bytes = 0;
  if (X509_digest(leaf, EVP_sha256(), digest.data(), &digest_bytes) != 1) {
    return Error(ErrorCode::kFailed, "could not compute the fingerprint of a certificate");
  }
  peer.sha256_hex = base::to_hex(std::as_bytes(std::span(digest).first(digest_bytes)));
  // On a client's side the chain begins with the leaf itself (SSL_get_peer_cert_chain(3)).
  STACK_OF(X509)* chain = SSL_get_peer_cert_chain(tls);
  for (int i = 0; i < sk_X509_num(chain) && i < kMaxChainCertificates; ++i) {
    peer.pem += pem_of(sk_X509_value(chain, i));
  }
  return peer;
}

}  // namespace

Result<PeerCertificate> fetch_server_certificate(const std::string& host, std::uint16_t port,
                                                 const env::Wait& wait) {
  const std::string where = host + " port " + std::to_string(port);
  const Socket socket = TRY(connect_to_any(host, port, where, wait));
  TRY(ask_for_tls(socket.fd(), where, wait));
  const std::unique_ptr<SSL_CTX, TlsContextFree> context(SSL_CTX_new(TLS_client_method()));
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1) {
    return Error(ErrorCode::kFailed, "could not set TLS up: " + tls_error_text());
  }
  // Whoever is at the other end is told apart by the fingerprint, which the caller compares.
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  const std::unique_ptr<SSL, TlsFree> tls(SSL_new(context.get()));
  if (!tls || SSL_set_fd(tls.get(), socket.fd()) != 1) {
    return Error(ErrorCode::kFailed, "could not set TLS up: " + tls_error_text());
  }
  TRY(handshake(tls.get(), socket.fd(), where, wait));
  auto peer = certificate_of(tls.get(), where);
  SSL_shutdown(tls.get());
  return peer;
}

}  // namespace standfast::client
