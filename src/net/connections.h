// The connections of a server that gives each a thread (the postmaster's part of it:
// postmaster/postmaster.c): taken, counted, ended, and kept within bounds:
//   - so many that have logged in; whether there is a place for one more admit() says;
//   - so many that have not; for one more the oldest one is dropped, without a word, of the address that has
//     the most of them;
//   - nothing is accepted while those that are ending have not ended;
//   - lines for the log; how many more there were is said.
// What a connection is, and how long it may take to log in, is the server's.
//
// Threading: a server has one thread that goes round: wait(), attend(), what else it has to do; at its end
// stop_all() and rounds until is_empty(). What is for any thread says so. Ownership: owns listeners,
// connections and their threads; is_empty() before it goes. Invariants: a connection lives until its thread
// has ended; open() of one and run() are called without a lock. Fails: as net/listener.h; kPrecondition (more
// connections than may be open at once).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/reporter.h"
#include "base/result.h"
#include "base/time.h"
#include "net/listener.h"

namespace standfast::net {

/// stop() and drop() may come from any thread, at any time, more than once, and do not wait.
class ServedConnection {
 public:
  virtual ~ServedConnection() = default;
  /// Until it is over; in a thread of its own.
  virtual void run() = 0;
  /// The server stops: it ends as is proper.
  virtual void stop() = 0;
  /// It ends at once, without a word: whatever it waits for.
  virtual void drop() = 0;
};

struct ConnectionBounds {
  std::size_t max_logged_in = 32;
  std::size_t max_not_logged_in = 64;  ///< at least one
  bool operator==(const ConnectionBounds&) const = default;
};

/// What does not depend on the kind of connection; see Connections.
class ConnectionServer {
 public:
  ConnectionServer(const ConnectionServer&) = delete;
  ConnectionServer& operator=(const ConnectionServer&) = delete;

  // At the start, before the first round.
  /// Raises the process's limit, where it has to: each connection has so many open, its socket among them.
  base::Result<void> allow_open_files(std::uint64_t files_of_connection) const;
  base::Result<void> listen(const ListenAddress& address);
  /// From then on for any thread; they stay when nobody listens there any more.
  const std::vector<ListenAddress>& addresses() const { return addresses_; }

  // A round.
  /// Until a connection comes or ends, a line has been noted, one of `other_fds` is readable (-1: none), or
  /// the time has come, or any sooner.
  void wait(base::Deadline until, std::initializer_list<int> other_fds = {});
  /// Accepts, takes away those that have ended, says the lines.
  void attend(base::Reporter& reporter);
  /// Listens no more and stops all; those that have not ended when the patience has are dropped.
  void stop_all(base::Clock::duration patience);
  bool is_empty() const;

  // For any thread.
  /// It has logged in. False: there are as many as there may be.
  bool admit(std::uint64_t id);
  void note(std::string line);

 protected:
  using Open =
      std::function<base::Result<std::unique_ptr<ServedConnection>>(std::uint64_t id, Accepted accepted)>;
  ConnectionServer(const ConnectionBounds& bounds, Open open);
  ~ConnectionServer();
  /// Those that have not ended, the oldest first.
  void visit(const std::function<void(std::uint64_t id, ServedConnection& connection)>& each) const;

 private:
  struct Client {
    std::unique_ptr<ServedConnection> connection;
    std::string peer_address;
    std::thread thread = {};
    bool is_logged_in = false;
    bool is_dropped = false;
    bool has_ended = false;

    bool waits_for_login() const { return !is_logged_in && !is_dropped && !has_ended; }
  };
  bool has_room() const;
  bool may_accept() const;
  void accept_some();
  void make_room();
  void serve(Accepted accepted);
  void start_thread(std::uint64_t id, Client client);
  void run_client(Client& client);
  void reap();
  void drop_overdue();
  void tell(base::Reporter& reporter);
  void turned_away(std::string line);
  void wake() const;

  const ConnectionBounds bounds_;
  const Open open_;
  const int wake_fd_;
  std::vector<Listener> listeners_;
  std::vector<ListenAddress> addresses_;
  std::uint64_t next_id_ = 1;
  base::Clock::time_point accept_again_at_{};
  std::optional<base::Deadline> drop_at_;  ///< once all are stopped, until they are dropped

  mutable std::mutex mutex_;                 // for all below
  std::map<std::uint64_t, Client> clients_;  ///< the oldest first
  std::deque<std::string> lines_;
  std::size_t left_out_lines_ = 0;
};

/// `Connection` is a ServedConnection.
template <typename Connection>
class Connections final : public ConnectionServer {
 public:
  /// How one is made of a socket, which is its own from then on, and closed on an error. `id` is not 0.
  template <typename OpenConnection>
  Connections(const ConnectionBounds& bounds, OpenConnection open)
      : ConnectionServer(
            bounds,
            [make = std::move(open)](std::uint64_t id,
                                     Accepted accepted) -> base::Result<std::unique_ptr<ServedConnection>> {
              std::unique_ptr<Connection> connection = TRY(make(id, std::move(accepted)));
              return std::unique_ptr<ServedConnection>(std::move(connection));
            }) {}

  /// each(id, connection) for those that have not ended, the oldest first. From any thread; what it calls
  /// calls nothing here, and does not wait.
  template <typename Each>
  void for_each(Each each) const {
    visit([&each](std::uint64_t id, ServedConnection& connection) {
      each(id, static_cast<Connection&>(connection));
    });
  }
};

}  // namespace standfast::net
