// What unit tests of the serving half share: a server whose backups are pretended, a small data directory,
// the host of sessions, and a client.
#pragma once

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "agent/backups.h"
#include "agent/session.h"
#include "agent/source_test_support.h"
#include "agent/tls_test_support.h"

namespace standfast::agent::testing {

/// Waits for what other threads bring about.
inline bool comes_true(const std::function<bool()>& condition) {
  const env::Wait wait = soon();
  while (!condition()) {
    if (wait.deadline.passed()) return false;
    static_cast<void>(env::wait_for(-1, 0, env::Wait::for_at_most(base::Milliseconds(2))));
  }
  return true;
}

struct FakeServer {
  std::atomic<int> open = 0;   ///< sessions with a backup
  std::atomic<int> ended = 0;  ///< as they should
  std::atomic<bool> is_up = true;
  std::atomic<bool> is_slow = false;  ///< no checkpoint ends
  std::atomic<int> beginning = 0;

  class Backup : public Bracket {
   public:
    explicit Backup(FakeServer& server) : server_(server) { ++server_.open; }
    ~Backup() override { --server_.open; }
    const BackupStart& start() const override { return start_; }
    base::Result<void> check(const env::Wait&) override {
      if (server_.is_up) return base::ok();
      return base::Error(base::ErrorCode::kConnect, "the session is gone");
    }
    base::Result<SlotState> slot(const std::string& name, const env::Wait& wait) override {
      TRY(check(wait));
      if (name != "mine") return SlotState{};
      return SlotState{.standing = SlotStanding::kUnreserved, .held_bytes = 77, .bound_bytes = 1};
    }
    base::Result<BackupEnded> end(const env::Wait& wait) override {
      TRY(check(wait));
      ++server_.ended;
      return BackupEnded{.stop = pg::Lsn(0x3000100),
                         .timeline = pg::TimelineId(1),
                         .label_file = "START WAL LOCATION\n",
                         .tablespace_map = ""};
    }

   private:
    FakeServer& server_;
    const BackupStart start_{.start = pg::Lsn(0x3000028), .timeline = pg::TimelineId(1)};
  };

  Backups::BeginBracket factory() {
    return [this](const BeginBackup&, const env::Wait& wait) -> base::Result<std::unique_ptr<Bracket>> {
      if (!is_up) return base::Error(base::ErrorCode::kConnect, "no server is there");
      ++beginning;
      if (is_slow && env::wait_for(-1, 0, wait) == env::Ready::kStopped) return env::cancelled_error();
      return std::unique_ptr<Bracket>(std::make_unique<Backup>(*this));
    };
  }
};

class DataDirectory {
 public:
  DataDirectory() {
    std::string pattern = ::testing::TempDir() + "/standfast-session-XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = std::filesystem::canonical(pattern);
    put("data/PG_VERSION", "15\n");
    put("data/global/pg_control", control_file(1));
    put("data/base/5/112", content());
    put("data/postmaster.pid", "1\n");
    put("data/pg_wal/000000010000000000000003", "wal");
    put("data/keys/member.pem", "secret");
    std::filesystem::create_directory(at("data/pg_tblspc"));
  }
  ~DataDirectory() { std::filesystem::remove_all(folder_); }
  DataDirectory(const DataDirectory&) = delete;
  DataDirectory& operator=(const DataDirectory&) = delete;

  static std::string content() {
    std::string text;
    while (text.size() < 200'000) text += "block " + std::to_string(text.size());
    return text;
  }
  std::string at(const std::string& name) const { return folder_ + "/" + name; }
  void put(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(at(name)).parent_path());
    std::ofstream file(at(name), std::ios::binary | std::ios::trunc);
    file << text;
    EXPECT_TRUE(file.good());
  }
  SourceTreeOptions options() const {
    return {.data_directory = at("data"), .private_folders = {at("data/keys")}};
  }

 private:
  std::string folder_;
};

class TestHost : public SessionHost {
 public:
  TestHost(std::shared_ptr<const MemberContext> tls, Backups& backups)
      : tls_(std::move(tls)), backups_(backups) {}

  std::shared_ptr<const MemberContext> tls() const override { return tls_; }
  bool admit(std::uint64_t) override {
    if (!has_room) return false;
    ++admitted;
    return true;
  }
  pg::SystemId system_id() const override { return kCluster; }
  base::Result<Welcome> facts() const override {
    return Welcome{.version = 77,
                   .server_version_num = 150018,
                   .block_bytes = 8192,
                   .segment_blocks = 131072,
                   .wal_segment_bytes = 16U << 20U,
                   .has_page_checksums = true,
                   .is_standby = false};
  }
  Backups& backups() override { return backups_; }
  std::optional<Members> members() const override { return authority; }
  bool is_revoked(std::string_view serial) const override {
    const std::lock_guard lock(mutex_);
    return revoked_.contains(std::string(serial));
  }
  base::Result<std::string> revoked_list() const override { return std::string("the list"); }
  UnixSeconds now() const override { return wall_clock() + ahead.load(); }
  void note(std::string line) override {
    const std::lock_guard lock(mutex_);
    lines_ += line + "\n";
  }

  void revoke(const std::string& serial) {
    const std::lock_guard lock(mutex_);
    revoked_.insert(serial);
  }
  std::string lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  std::optional<Members> authority = {};  ///< set before the first connection
  std::atomic<bool> has_room = true;
  std::atomic<int> admitted = 0;
  std::atomic<std::chrono::hours> ahead = std::chrono::hours(0);

 private:
  const std::shared_ptr<const MemberContext> tls_;
  Backups& backups_;
  mutable std::mutex mutex_;
  std::set<std::string> revoked_;
  std::string lines_;
};

/// A client, and the session that serves it in a thread.
class Connected {
 public:
  Connected(SessionHost& host, const MemberContext& context, const SessionPatience& patience = {})
      : Connected(host, context, patience, Ends::make()) {}
  ~Connected() { close(); }
  Connected(const Connected&) = delete;
  Connected& operator=(const Connected&) = delete;

  /// Goes without a word.
  void close() { client_.reset(); }
  net::TlsChannel& channel() { return *client_; }
  Session& session() { return *session_; }
  bool has_ended() { return ran_.wait_for(std::chrono::seconds(60)) == std::future_status::ready; }

  bool send(const Request& request) {
    return client_->write_all(base::as_bytes(encode(request)), soon()).has_value();
  }
  /// Valid until the next call. kConnect: the agent has closed.
  base::Result<Answer> receive() {
    message_.clear();
    while (true) {
      const auto size = TRY(message_bytes(base::as_bytes(message_), Speaker::kAgent));
      if (size && *size == message_.size()) return parse_answer(base::as_bytes(message_));
      const std::size_t held = message_.size();
      message_.resize(size ? *size : held + 1);
      const auto room = std::as_writable_bytes(std::span(message_)).subspan(held);
      const std::size_t count = TRY(client_->read_some(room, soon()));
      if (count == 0) return base::Error(base::ErrorCode::kConnect, "closed");
      message_.resize(held + count);
    }
  }
  base::Result<Answer> ask(const Request& request) {
    if (!send(request)) return base::Error(base::ErrorCode::kConnect, "could not send");
    return receive();
  }
  template <typename Wanted>
  Wanted get(const Request& request) {
    auto answer = ask(request);
    if (!answer) {
      ADD_FAILURE() << answer.error().message;
      return Wanted{};
    }
    auto wanted = expect<Wanted>(*std::move(answer));
    if (wanted) return *std::move(wanted);
    ADD_FAILURE() << wanted.error().message;
    return Wanted{};
  }
  Refused refusal(const Request& request) { return get<Refused>(request); }
  /// The agent does, with nothing more to say.
  bool closes() {
    const auto answer = receive();
    close();
    return !answer && answer.error().code == base::ErrorCode::kConnect && has_ended();
  }

 private:
  Connected(SessionHost& host, const MemberContext& context, const SessionPatience& patience,
            std::array<int, 2> fds)
      : session_(*Session::open(host, {.fd = fds[0], .peer = "10.0.0.2:4711", .patience = patience})),
        client_(std::make_unique<net::TlsChannel>(fds[1])),
        ran_(std::async(std::launch::async, [this] { session_->run(); })) {
    const auto met = context.connect(*client_, std::nullopt, soon());
    EXPECT_TRUE(met) << met.error().message;
  }

  std::unique_ptr<Session> session_;
  std::unique_ptr<net::TlsChannel> client_;
  std::string message_;
  std::future<void> ran_;  ///< the first to go: it waits for the session's end
};

}  // namespace standfast::agent::testing
