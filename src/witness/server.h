// Serves a folder's WAL to standbys and pg_receivewal. What a client is answered is wal::ServeSession's to
// say; that connections have a thread each, and their bounds, are net::Connections'; here is what all of them
// share: users, certificate, slots, and what the standbys need.
//
// Threading: run() once, in one thread, which also keeps the slots and speaks to the reporter; all others
// from any thread. Ownership: owns connections and their threads, which end before run() returns; borrows the
// rest. Invariant: nothing is served that StoreNews did not tell of. Fails at open(): kUsage, kInUse,
// kConnect, kPermission, kIo, kCertificate, kProtocol (users, TLS, addresses), kPrecondition (more
// connections than may be open at once).
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/reporter.h"
#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "net/connections.h"
#include "store/slots.h"
#include "witness/scram_server.h"
#include "witness/scram_users.h"
#include "witness/serve_connection.h"
#include "witness/store_news.h"
#include "witness/tls_context.h"

namespace standfast::witness {

enum class Cleartext : std::uint8_t { kOnLoopback, kAllowed };

/// Who may come in, and how: what may be another one with each reload().
struct ServerAccess {
  std::string users_file;
  std::optional<TlsContext::Files> tls = {};
  Cleartext cleartext = Cleartext::kOnLoopback;
};

struct ServerOptions : ServerAccess {
  std::string folder;
  wal::serve::ServerFacts facts;
  std::vector<net::ListenAddress> listen;
  std::size_t max_connections = 32;  ///< that have logged in
  std::size_t max_not_logged_in = 64;
  base::Clock::duration authentication_timeout = base::Seconds(60);
  base::Clock::duration wal_sender_timeout = base::Seconds(60);  ///< zero: none
  base::Clock::duration stop_patience = base::Seconds(10);
};

class Server final : private ConnectionHost {
 public:
  /// Listens when it returns.
  static base::Result<std::unique_ptr<Server>> open(env::FileSystem& files, StoreNews& news,
                                                    store::Slots& slots, ServerOptions options);

  /// Until the stop event; then streams send what is durable. `reload_fd` asks for reload() when it becomes
  /// readable (eventfd, signalfd); -1: nobody does.
  base::Result<void> run(base::Reporter& reporter, const env::StopEvent& stop, int reload_fd = -1);
  /// Reads users, certificate and key again, those named now or others. On an error all stays as it was. From
  /// any thread, while run() goes on.
  base::Result<void> reload();
  base::Result<void> reload(const ServerAccess& access);

  const std::vector<net::ListenAddress>& addresses() const { return connections_.addresses(); }
  std::vector<ServedStream> streams() const;
  /// The oldest transactions that any standby of ours needs the rows of, for whoever is upstream, also one
  /// that uses a slot and is away. Zeros: none. No value: no standby has said anything yet, and what the
  /// upstream knows from before a start of ours may still be true.
  std::optional<pg::HotStandbyFeedback> oldest_feedback() const;

 private:
  Server(env::FileSystem& files, StoreNews& news, store::Slots& slots, ServerOptions options);

  // ConnectionHost, for the connections' threads.
  env::FileSystem& files() override { return files_; }
  StoreNews& news() override { return news_; }
  store::Slots& slots() override { return slots_; }
  const std::string& folder() const override { return options_.folder; }
  const wal::serve::ServerFacts& facts() const override { return options_.facts; }
  std::shared_ptr<const TlsContext> tls() const override;
  std::shared_ptr<const ScramUsers> users() const override;
  const ScramSecret& secret() const override { return *secret_; }
  bool admit(std::uint64_t connection) override { return connections_.admit(connection); }
  void on_feedback() override { has_heard_feedback_ = true; }
  void note(std::string line) override { connections_.note(std::move(line)); }

  base::Result<std::unique_ptr<ServeConnection>> open_connection(std::uint64_t id, net::Accepted accepted);
  wal::ServeSession::Tls tls_for(net::Reach reach) const;
  base::Deadline slots_due() const;
  void reload_if_asked(int reload_fd, base::Reporter& reporter);
  void keep_slots(base::Reporter& reporter);

  env::FileSystem& files_;
  StoreNews& news_;
  store::Slots& slots_;
  const ServerOptions options_;
  std::optional<ScramSecret> secret_;  ///< there once open() has returned
  net::Connections<ServeConnection> connections_;
  base::Clock::time_point slots_kept_at_{};
  std::string slots_trouble_;  ///< that was told last
  std::atomic<bool> has_heard_feedback_ = false;

  mutable std::mutex mutex_;  // for all below
  ServerAccess access_;
  std::shared_ptr<const TlsContext> tls_;
  std::shared_ptr<const ScramUsers> users_;
};

}  // namespace standfast::witness
