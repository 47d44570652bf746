// The bytes of a connection that libpq made, past libpq: what it has logged in to and is idle is read and
// written directly, TLS included, and may be given back to it when it is idle again. libpq moves the rest of
// its buffer with each read and copies each message once more, which is a third of the work of receiving WAL.
//
// Threading: one thread. Ownership: borrows the PGconn, with which nothing else may be done meanwhile.
// Bounds: holds as much as the longest message may be (pg::kMaxBackendMessageBytes), mostly half a megabyte.
// Fails: kConnect, kTimeout, kCancelled, kProtocol; it is of no further use then.
// Follows: libpq/fe-misc.c pqReadData(), fe-secure-openssl.c.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "env/stop_event.h"

struct pg_conn;
struct ssl_st;

namespace standfast::client {

class Wire {
 public:
  struct Message {
    char kind = '\0';
    base::Bytes body;
  };

  /// No value where only libpq can read what comes: encrypted by GSSAPI, or by a TLS that is not OpenSSL.
  static std::optional<Wire> of(pg_conn& connection);

  /// Of a server that is gone nothing is said here: what it sent before is still there to be read, and
  /// front() finds the end behind it (as libpq's pqsecure_raw_write() has it).
  base::Result<void> send(base::Bytes message, const env::Wait& wait);
  /// The next message, which stays the next one until drop_front(); valid until then. No value when the
  /// deadline has passed: after it has been seen that no more is there, that is said once without asking the
  /// system, so that whoever waits for other things too asks only once.
  base::Result<std::optional<Message>> front(const env::Wait& wait);
  void drop_front();
  /// Nothing is held that is not a whole message handed out.
  bool is_empty() const { return begin_ == end_; }

 private:
  enum class Got : std::uint8_t { kSome, kNothingYet };

  Wire(int fd, ssl_st* tls);
  base::Result<Got> read_some();
  base::Result<Got> read_tls();
  /// What to poll for before another try; 0: it got on.
  short write_some(base::Bytes& rest);
  short write_tls(base::Bytes& rest);
  void make_room(std::size_t whole_message_bytes);

  int fd_;
  ssl_st* tls_;
  short awaited_events_;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t capacity_;
  std::size_t begin_ = 0;  ///< of what was read and not dropped
  std::size_t end_ = 0;
  std::size_t front_bytes_ = 0;  ///< of the message that front() gave; 0: none yet
  bool is_drained_ = false;      ///< the last look found no more
  bool has_lost_server_ = false;
};

}  // namespace standfast::client
