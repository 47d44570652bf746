// A connection's bytes, in clear or, from a point on, through TLS, of either side (libpq/be-secure.c,
// be-secure-openssl.c).
//
// Threading: a context is used by any thread, a TlsChannel by one. SIGPIPE must be ignored
// (env/stop_event.h does). Ownership: a channel owns its socket. Invariant: only the calls that are given a
// Wait wait. Fails: kConnect for a connection that is lost, kTimeout, kCancelled; kCertificate where one side
// refuses the other's certificate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "env/stop_event.h"
#include "net/openssl.h"

namespace standfast::net {

/// What all contexts share: nothing is resumed, renegotiated or compressed, and a write may be partial.
enum class OldestTls : std::uint8_t { k12, k13 };
base::Result<TlsContextHandle> new_tls_context(OldestTls oldest);

class TlsChannel {
 public:
  static constexpr short kReadable = 0x001;  // POLLIN
  static constexpr short kWritable = 0x004;  // POLLOUT

  /// A socket that does not block.
  explicit TlsChannel(int fd) : fd_(fd) {}
  ~TlsChannel();
  TlsChannel(const TlsChannel&) = delete;
  TlsChannel& operator=(const TlsChannel&) = delete;

  /// The handshake, as a server and as a client. The context may go before the channel does. In TLS 1.3 a
  /// client has ended it before the server judges the client's certificate: that it is refused is learned by
  /// the first read.
  base::Result<void> accept_tls(SSL_CTX& context, const env::Wait& wait);
  base::Result<void> connect_tls(SSL_CTX& context, const env::Wait& wait);
  /// How many bytes came; none: the other side has closed; no value: nothing is there just now.
  base::Result<std::optional<std::size_t>> read(std::span<std::byte> into);
  /// How many bytes went; may be none.
  base::Result<std::size_t> write(base::Bytes bytes);
  /// The same, but they wait: for the first bytes, and until all have gone.
  base::Result<std::size_t> read_some(std::span<std::byte> into, const env::Wait& wait);
  base::Result<void> write_all(base::Bytes bytes, const env::Wait& wait);

  /// How long read_some() has waited for the other side, and write_all() for room, since the connection is
  /// there.
  base::Clock::duration waited_for_bytes() const { return waited_for_bytes_; }
  base::Clock::duration waited_for_room() const { return waited_for_room_; }

  int fd() const { return fd_; }
  /// Null before the handshake.
  const SSL* tls() const { return ssl_; }
  enum class Wants : std::uint8_t { kNothing, kRead, kWrite, kBoth };
  /// What to poll for before the calls that are wanted are worth another try.
  short poll_events(Wants wants) const;

 private:
  base::Result<void> shake_hands(SSL_CTX& context, int (*step)(SSL*), const env::Wait& wait);
  /// What a call that did not succeed needs before it is tried again: POLLIN or POLLOUT; 0: the other side
  /// has closed.
  base::Result<short> need_after(int result) const;

  int fd_;
  SSL* ssl_ = nullptr;
  // TLS may have to write in order to read, and the other way round.
  short read_needs_ = kReadable;
  short write_needs_ = kWritable;
  base::Clock::duration waited_for_bytes_{};
  base::Clock::duration waited_for_room_{};
};

}  // namespace standfast::net
