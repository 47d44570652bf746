// Sessions that commit one row after the other, and what each of them was told: the clients of the demo.
//
// A commit counts as acknowledged when the server has answered without a warning, as it gives one to a
// session whose wait for a standby was cut short. Each session numbers its rows from 1, so what was
// acknowledged to it are all up to a number.
//
// Threading: made, started and ended in one thread; each session has a thread of its own. Ownership: owns
// both; what goes ends its sessions first. Fails with: as connections and statements do.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "env/stop_event.h"
#include "pg/client/connection.h"

namespace standfast::setup {

class DemoWriters {
 public:
  static constexpr const char* kTable = "public.demo_commits";
  /// A statement; session and number are the key.
  static std::string create_table();

  struct Session {
    std::uint64_t acknowledged = 0;  ///< rows 1 to this
    base::Clock::duration total{};   ///< of their commits
    base::Clock::duration longest{};
    std::optional<base::Error> ended_by = {};
  };

  /// Opens the sessions; none writes before start().
  static base::Result<DemoWriters> open(const client::ConnectOptions& server, std::size_t sessions,
                                        const env::Wait& wait);
  ~DemoWriters();
  DemoWriters(DemoWriters&&) = default;
  DemoWriters& operator=(DemoWriters&&) = delete;

  void start();
  std::uint64_t acknowledged() const { return shared_->acknowledged.load(); }
  /// Back when so many commits were acknowledged to all of them together. Fails as soon as a session does.
  base::Result<void> wait_for(std::uint64_t acknowledged, const env::Wait& wait);
  /// Back when the last one has found that its server is gone.
  std::vector<Session> end_with_their_server();

 private:
  struct Shared {
    env::StopEvent stop;
    std::atomic<std::uint64_t> acknowledged = 0;
    std::atomic<bool> has_failed = false;
    std::vector<client::Connection> connections;
    std::vector<Session> sessions;
    std::vector<std::thread> threads;
  };
  DemoWriters() = default;
  static void write_rows(Shared& shared, std::size_t index);
  base::Error first_failure();

  std::unique_ptr<Shared> shared_ = std::make_unique<Shared>();
};

}  // namespace standfast::setup
