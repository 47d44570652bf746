#include "pg/client/server_certificate.h"

#include <algorithm>
#include <csignal>
#include <optional>
#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

namespace standfast::client {
namespace {

using base::ErrorCode;

X509* make_certificate(EVP_PKEY* key) {
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  X509_sign(certificate, key, EVP_sha256());
  return certificate;
}

/// Takes one connection on the loopback, reads an SSLRequest, and gives the answer; with 'S' it goes on in
/// TLS.
class FakeServer {
 public:
  /// SIGPIPE is ignored, as the program does: OpenSSL writes to sockets that the other end has closed.
  explicit FakeServer(std::optional<char> answer)
      : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    static_cast<void>(signal(SIGPIPE, SIG_IGN));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    key_ = EVP_EC_gen("P-256");
    certificate_ = make_certificate(key_);
    thread_ = std::thread([this, answer] { serve(answer); });
  }
  ~FakeServer() {
    shutdown(listener_, SHUT_RDWR);  // a client may have gone before it was let in
    thread_.join();
    close(listener_);
    X509_free(certificate_);
    EVP_PKEY_free(key_);
  }
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  std::uint16_t port() const { return port_; }
  /// What came before TLS, and how much inside of it.
  const std::string& request() const { return request_; }
  int bytes_in_tls() const { return bytes_in_tls_; }
  std::string fingerprint() const {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    X509_digest(certificate_, EVP_sha256(), digest, &size);
    return base::to_hex(std::as_bytes(std::span(digest, size)));
  }
  void wait() {
    thread_.join();
    thread_ = std::thread([] {});
  }

 private:
  void serve(std::optional<char> answer) {
    const int fd = accept(listener_, nullptr, nullptr);
    if (fd < 0) return;
    request_.resize(8);
    const ssize_t count = recv(fd, request_.data(), request_.size(), MSG_WAITALL);
    request_.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (answer) {
      EXPECT_EQ(send(fd, &*answer, 1, MSG_NOSIGNAL), 1);
      if (*answer == 'S') talk_tls(fd);
    }
    close(fd);
  }

  void talk_tls(int fd) {
    SSL_CTX* context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(context, certificate_);
    SSL_CTX_use_PrivateKey(context, key_);
    SSL* tls = SSL_new(context);
    SSL_set_fd(tls, fd);
    if (SSL_accept(tls) == 1) {
      char buffer[64];
      bytes_in_tls_ = std::max(SSL_read(tls, buffer, sizeof buffer), 0);
    }
    SSL_free(tls);
    SSL_CTX_free(context);
  }

  int listener_;
  std::uint16_t port_ = 0;
  EVP_PKEY* key_ = nullptr;
  X509* certificate_ = nullptr;
  std::string request_;
  int bytes_in_tls_ = 0;
  std::thread thread_;
};

env::Wait soon() {
  return env::Wait::for_at_most(base::Seconds(60));
}

TEST(ServerCertificate, TheFingerprintAndTheCertificateComeBackAndNothingElseIsSent) {
  FakeServer server('S');
  const auto peer = fetch_server_certificate("127.0.0.1", server.port(), soon());
  ASSERT_TRUE(peer) << peer.error().message;
  server.wait();
  EXPECT_EQ(peer->sha256_hex, server.fingerprint());
  EXPECT_TRUE(peer->pem.starts_with("-----BEGIN CERTIFICATE-----"));
  EXPECT_EQ(server.request(), std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8));
  EXPECT_EQ(server.bytes_in_tls(), 0);
}

TEST(ServerCertificate, AServerWithoutTlsIsSaidToBeOne) {
  FakeServer server('N');
  const auto peer = fetch_server_certificate("127.0.0.1", server.port(), soon());
  ASSERT_FALSE(peer);
  EXPECT_EQ(peer.error().code, ErrorCode::kCertificate);
  EXPECT_FALSE(peer.error().hint.empty());
}

TEST(ServerCertificate, SomethingThatIsNotPostgresqlIsAnError) {
  FakeServer server('E');
  const auto peer = fetch_server_certificate("127.0.0.1", server.port(), soon());
  ASSERT_FALSE(peer);
  EXPECT_EQ(peer.error().code, ErrorCode::kProtocol);
}

TEST(ServerCertificate, AServerThatHangsUpOrIsNotThereIsAnErrorThatMayPass) {
  std::uint16_t port = 0;
  {
    FakeServer server(std::nullopt);
    port = server.port();
    const auto peer = fetch_server_certificate("127.0.0.1", port, soon());
    ASSERT_FALSE(peer);
    EXPECT_EQ(peer.error().code, ErrorCode::kConnect);
  }
  const auto gone = fetch_server_certificate("127.0.0.1", port, soon());
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::kConnect);
  EXPECT_TRUE(gone.error().retryable);
}

TEST(ServerCertificate, AStopEndsTheWait) {
  env::StopEvent stop;
  stop.set();
  FakeServer server(std::nullopt);
  const auto peer =
      fetch_server_certificate("127.0.0.1", server.port(), env::Wait::for_at_most(base::Seconds(60), &stop));
  ASSERT_FALSE(peer);
  EXPECT_EQ(peer.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace standfast::client
