// A statement of a replication connection that is answered by a copy both ways, over a Wire:
// START_REPLICATION, from the query to ReadyForQuery (libpq/fe-protocol3.c, replication/walsender.c). Answers
// are Connection's, given in the order in which libpq gives them.
//
// Threading, ownership: as Wire. Fails: what the server answers with leaves the connection usable unless it
// ended it; all else does not.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "env/stop_event.h"
#include "pg/client/connection.h"
#include "pg/client/wire.h"

namespace standfast::client {

class CopyBoth {
 public:
  /// `notices`: where what the server says beside its answers is kept.
  CopyBoth(pg_conn& connection, Wire wire, std::vector<Notice>& notices)
      : connection_(connection), wire_(std::move(wire)), notices_(notices) {}

  base::Result<void> send_query(std::string_view statement, const env::Wait& wait);
  base::Result<Connection::Answer> next_result(const env::Wait& wait);
  base::Result<Connection::CopyMessage> receive_copy(const env::Wait& wait);
  base::Result<void> send_copy(base::Bytes data, const env::Wait& wait);
  base::Result<void> send_copy_end(const env::Wait& wait);

  /// The server waits for the next statement, and all that it said was read.
  bool is_over() const { return state_ == State::kIdle; }
  bool is_broken() const { return state_ == State::kBroken; }
  /// What a server that ended the connection after all was answered gave as its reason.
  const std::optional<base::Error>& last_words() const { return last_words_; }

 private:
  enum class State : std::uint8_t {
    kAnswering,    ///< the server is to say what kind of answer it is
    kCopying,      ///< both halves are open
    kServerEnded,  ///< its half is closed
    kWeEnded,      ///< ours is
    kAfterCopy,    ///< both are; the rest of the answer is to come
    kIdle,
    kBroken
  };

  /// The next message that is an answer, with the deadline taken for an error. What a server still sends of
  /// a copy that it has ended (a keepalive, until it has seen our end) is none.
  base::Result<Wire::Message> expect(const env::Wait& wait);
  /// As Wire's, what is said beside the answers taken out.
  base::Result<std::optional<Wire::Message>> next(const env::Wait& wait);
  base::Result<Rows> read_rows(const Wire::Message& description, const env::Wait& wait);
  base::Error read_error(const Wire::Message& message, const env::Wait& wait);
  /// What came with ReadyForQuery, so that libpq finds nothing begun.
  void end_at_ready();
  base::Error broken(base::Error error);
  template <typename T>
  base::Result<T> unless_broken(base::Result<T> result);

  pg_conn& connection_;
  Wire wire_;
  std::vector<Notice>& notices_;
  State state_ = State::kIdle;
  bool is_lent_ = false;  ///< the caller has the front message
  std::optional<base::Error> last_words_;
};

}  // namespace standfast::client
