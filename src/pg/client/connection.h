// A connection to a PostgreSQL server: libpq in non-blocking mode, with a deadline and a stop event on every
// wait.
//
// Threading: one thread at a time; a Connection may be handed to another thread. Ownership: owns its PGconn.
// Invariant: after an error that is not the server's answer to a statement (kConnect, kTimeout, kCancelled,
// kProtocol), the connection is closed and every later call fails.
// Fails with: kConnect, kAuthentication, kCertificate, kVersion, kTimeout, kCancelled, kProtocol, and for
// errors of the server kSql with its sqlstate (kDiskFull for 53100, kSlot for slots in use or missing).
// Secrets: parameters are never part of an error; a statement that carries a secret is sent with
// execute_secret(). Follows: PostgreSQL's libpq-async documentation; fe-connect.c, fe-exec.c.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "env/stop_event.h"
#include "pg/format/lsn.h"
#include "pg/format/versions.h"

struct pg_conn;
struct pg_result;

namespace standfast::client {

/// Keyword and value, as libpq knows them; a later one overrides an earlier one. "dbname" may hold a whole
/// conninfo string or URI when `expand_dbname` is set. Everything not said comes from libpq's environment
/// variables, pg_service.conf and .pgpass.
struct ConnectOptions {
  std::vector<std::pair<std::string, std::string>> parameters;
  std::optional<base::Secret> password = {};
  bool expand_dbname = false;

  ConnectOptions& set(std::string keyword, std::string value) {
    parameters.emplace_back(std::move(keyword), std::move(value));
    return *this;
  }
};

/// Rows of text values.
class Rows {
 public:
  explicit Rows(pg_result* result);
  ~Rows();
  Rows(Rows&& other) noexcept;
  Rows& operator=(Rows&& other) noexcept;

  int count() const;
  int column_count() const;
  std::string_view column_name(int column) const;
  bool is_null(int row, int column) const;
  std::string_view text(int row, int column) const;  ///< "" for NULL
  std::optional<std::string> get(
      int row, std::string_view column) const;  ///< no value for NULL; the column must exist
  std::string command_tag() const;

 private:
  pg_result* result_;
};

/// The server's certificate as it was presented on this connection.
struct PeerCertificate {
  std::string pem;
  std::string sha256_hex;  ///< of the DER form
};

/// What the server says beside its answers: NOTICE and WARNING.
struct Notice {
  bool is_warning = false;
  std::string message;  ///< the primary message, one line
};
constexpr std::size_t kMaxNotices = 100;  ///< kept for each connection; the rest is dropped

/// A parameter of the connection as libpq resolved it from all its sources.
struct ResolvedOption {
  std::string keyword;
  std::string value;
  std::string compiled_default;
};

/// A CopyData message that has left its connection.
struct OwnedCopy {
  struct Free {
    void operator()(char* memory) const;
  };
  std::unique_ptr<char, Free> buffer;
  std::size_t size_bytes = 0;

  base::Bytes bytes() const { return std::as_bytes(std::span(buffer.get(), size_bytes)); }
};

class CopyBoth;

class Connection {
 public:
  static base::Result<Connection> open(const ConnectOptions& options, const env::Wait& wait);
  ~Connection();
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&& other) noexcept;

  pg::Version server_version() const;
  std::optional<std::string> parameter_status(const std::string& name) const;
  std::string host() const;  ///< as connected to; a socket directory or an address
  std::string port() const;
  std::string user() const;
  std::string database() const;
  bool uses_tls() const;
  /// Of the server process that serves this connection.
  int backend_pid() const;
  std::optional<PeerCertificate> peer_certificate() const;
  std::string native_conninfo_value(const std::string& keyword) const;  ///< as resolved by libpq, "" if unset
  /// All that have a value, passwords left out.
  std::vector<ResolvedOption> resolved_options() const;
  /// Whether the server asked for a password and got one, from wherever it came.
  bool used_password() const;
  const std::vector<Notice>& notices() const { return *notices_; }

  /// One statement with parameters ($1 ...; nullopt is NULL), rows back.
  base::Result<Rows> query(const std::string& sql, std::span<const std::optional<std::string>> parameters,
                           const env::Wait& wait);
  base::Result<Rows> query(const std::string& sql, const env::Wait& wait);
  /// A statement by the simple protocol, the only one a replication connection takes; the last result's rows
  /// back.
  base::Result<Rows> simple_query(const std::string& sql, const env::Wait& wait);
  base::Result<void> execute(const std::string& sql, const env::Wait& wait);
  /// As execute(), for a text that must not come back in an error: its own message and hint are replaced.
  base::Result<void> execute_secret(const base::Secret& sql, const std::string& what, const env::Wait& wait);

  /// The first row's first value; kProtocol when there is none.
  base::Result<std::string> query_value(const std::string& sql, const env::Wait& wait);
  base::Result<std::string> query_value(const std::string& sql,
                                        std::span<const std::optional<std::string>> parameters,
                                        const env::Wait& wait);

  // The copy protocol, for replication connections (replication_connection.h builds on it).
  /// Sends a statement and waits until its first result is there. What kind it is decides what may follow.
  enum class ResultKind { kRows, kCommandDone, kCopyOut, kCopyBoth, kNone };
  struct Answer {
    ResultKind kind = ResultKind::kNone;
    std::optional<Rows> rows;
  };
  base::Result<void> send_query(const std::string& sql, const env::Wait& wait);
  base::Result<Answer> send_and_begin(const std::string& sql, const env::Wait& wait);
  base::Result<Answer> next_result(const env::Wait& wait);
  /// As send_and_begin(), for a statement that begins a copy both ways: what comes of it is read past libpq
  /// where that can be (wire.h), to the same effect, but that parameter_status() does not get to know what
  /// changes meanwhile. No other statement can be sent before next_result() has said kNone, or an error.
  base::Result<Answer> begin_copy_both(const std::string& sql, const env::Wait& wait);
  /// One CopyData message; no value when the copy has ended, or, with a deadline that passed, when nothing
  /// came.
  enum class CopyEvent { kData, kEnd, kTimeout };
  struct CopyMessage {
    CopyEvent event = CopyEvent::kTimeout;
    base::Bytes data;  ///< valid until the next call
  };
  base::Result<CopyMessage> receive_copy(const env::Wait& wait);
  /// Takes the message that receive_copy() just gave out of the connection, without copying it.
  OwnedCopy take_copy();
  base::Result<void> send_copy(base::Bytes data, const env::Wait& wait);
  base::Result<void> send_copy_end(const env::Wait& wait);

  /// The SCRAM-SHA-256 verifier of a password, computed here: the password itself never goes to the server.
  base::Result<base::Secret> scram_verifier(const std::string& user, const base::Secret& password) const;

  int socket_fd() const;
  bool is_open() const;
  void close();

 private:
  explicit Connection(pg_conn* connection);
  base::Result<void> wait_socket(short events, const env::Wait& wait);
  bool has_undelivered_tls_bytes() const;
  base::Result<void> flush(const env::Wait& wait);
  base::Result<pg_result*> wait_result(const env::Wait& wait);
  base::Error broken(base::ErrorCode code, std::string message);
  base::Result<Rows> collect(const env::Wait& wait);
  base::Result<void> check_is_free() const;
  base::Error closed_error() const;
  template <typename T>
  base::Result<T> settled(base::Result<T> result);

  pg_conn* connection_ = nullptr;
  OwnedCopy copy_;
  std::unique_ptr<CopyBoth> copy_both_;           ///< while it has the connection
  std::optional<base::Error> ended_by_;           ///< the server's own reason, where it was heard in time
  std::unique_ptr<std::vector<Notice>> notices_;  ///< libpq holds its address
};

/// A conninfo string or URI as keywords and values (PQconninfoParse), nothing added to it.
base::Result<std::vector<std::pair<std::string, std::string>>> parse_conninfo(const std::string& text);

}  // namespace standfast::client
