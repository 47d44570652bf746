// One connection of a server of WAL: performs what wal::ServeSession decides. It owns its socket and reads
// WAL itself, so that a slow client or disk holds up nobody else.
//
// Threading: run() in a thread of its own; what the server asks and tells from any. Ownership: owns socket,
// session and reader; borrows the host, which outlives it. Invariants: what waits to go out is bounded by the
// session's gates, what came in by one buffer and the session's bound for a message. Fails: open() with kIo,
// where the process has no descriptor left; then never to the outside: how it ended goes to the host's log.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "net/connections.h"
#include "net/tls_channel.h"
#include "store/slots.h"
#include "store/wal_reader.h"
#include "wal/serve_session.h"
#include "witness/scram_server.h"
#include "witness/store_news.h"
#include "witness/tls_context.h"

namespace standfast::witness {

struct ServedStream {
  std::string user;
  std::string application_name;
  std::string peer;
  wal::ServeSession::StreamStatus status;
};

/// What a connection needs of the server that it is one of. All calls from any thread.
class ConnectionHost {
 public:
  virtual ~ConnectionHost() = default;
  virtual env::FileSystem& files() = 0;
  virtual StoreNews& news() = 0;
  virtual store::Slots& slots() = 0;
  virtual const std::string& folder() const = 0;
  virtual const wal::serve::ServerFacts& facts() const = 0;
  /// Null: no TLS.
  virtual std::shared_ptr<const TlsContext> tls() const = 0;
  virtual std::shared_ptr<const ScramUsers> users() const = 0;
  virtual const ScramSecret& secret() const = 0;
  /// False: there are as many as there may be.
  virtual bool admit(std::uint64_t connection) = 0;
  /// A standby has said what it needs: own_feedback() has it, or its slot.
  virtual void on_feedback() = 0;
  virtual void note(std::string line) = 0;
};

class ServeConnection final : public net::ServedConnection {
 public:
  struct Options {
    std::uint64_t id = 0;  ///< not 0; also of the slots it uses
    net::Accepted accepted;
    wal::ServeSession::Tls tls = wal::ServeSession::Tls::kNotOffered;
    base::Clock::duration authentication_timeout = base::Seconds(60);
    base::Clock::duration wal_sender_timeout = base::Seconds(60);
    base::Clock::duration stop_patience = base::Seconds(10);
  };
  /// On an error the socket is closed.
  static base::Result<std::unique_ptr<ServeConnection>> open(ConnectionHost& host, Options options);
  ~ServeConnection() override;
  ServeConnection(const ServeConnection&) = delete;
  ServeConnection& operator=(const ServeConnection&) = delete;

  void run() override;
  /// The server stops: streams send what is durable, everything else ends.
  void stop() override;
  /// Its socket is shut down.
  void drop() override;
  /// A slot that it used is lost: if it still does, its stream ends.
  void on_slot_lost();
  std::optional<ServedStream> stream() const;
  /// What its standby said last, where no slot keeps it.
  std::optional<pg::HotStandbyFeedback> own_feedback() const;

 private:
  ServeConnection(ConnectionHost& host, Options options, int wake_fd);
  static wal::serve::Instant now();
  void step();
  void take_wakeups();
  void take_view();
  bool read_some();
  bool write_some();
  void wait();
  void perform_all();
  void publish_status();
  bool subscribe_while_streaming();
  void wake() const;
  void note(std::string_view line);
  void lose(const base::Error& error);
  void finish(const std::string& reason);

  void perform(wal::serve::Action& action);
  void start_tls();
  void begin_scram(const wal::serve::BeginScram& begin);
  void continue_scram(const wal::serve::ContinueScram& proof);
  void log_in(const wal::serve::LoggedIn& login);
  void read_history_file(pg::TimelineId timeline);
  void read_wal(const wal::serve::ReadWal& wish);
  void take_feedback(const pg::HotStandbyFeedback& feedback);

  ConnectionHost& host_;
  const Options options_;
  net::TlsChannel channel_;
  const int wake_fd_;
  std::atomic<bool> is_dropped_ = false;
  std::atomic<bool> stop_asked_ = false;
  std::atomic<bool> slot_is_lost_ = false;

  // Of the thread that runs it.
  StoreNews::View view_;
  std::optional<StoreNews::Subscription> subscription_;  ///< while it streams
  wal::ServeSession session_;
  store::WalReader reader_;
  std::string end_point_hash_;
  std::optional<ScramExchange> scram_;
  std::string in_;
  std::string out_;
  std::size_t out_sent_ = 0;  ///< of out_
  std::vector<std::byte> wal_;
  bool is_over_ = false;
  bool is_stopping_ = false;

  mutable std::mutex status_mutex_;
  ServedStream status_;
  bool is_streaming_ = false;
  std::optional<pg::HotStandbyFeedback> own_feedback_;
};

}  // namespace standfast::witness
