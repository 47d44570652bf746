// Connections that say what they hear, on the loopback. The test's own thread goes the server's rounds.
#include "net/connections.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "env/stop_event.h"

namespace standfast::net {
namespace {

using base::Deadline;
using base::Result;

constexpr std::size_t kMaxEnding = 8;  // as many that were dropped may go on for a while
constexpr char kClosed = '\0';
/// Of the loopback, and nobody else's: what other programs listen on at 127.0.0.1 takes no port away here.
constexpr const char* kOwnAddress = "127.82.70.3";

/// Each byte comes back, but for:
///   l: logs in, and says y or n;
///   s: does not end when it is told to stop;
///   h: ends only when the test lets it, and not by being dropped.
class Echo final : public ServedConnection {
 public:
  Echo(ConnectionServer& server, const env::StopEvent& let_go, std::uint64_t id, Accepted accepted)
      : server_(server), let_go_(let_go), id_(id), accepted_(std::move(accepted)) {}
  ~Echo() override { close(accepted_.fd); }

  void run() override {
    char byte = 0;
    while (receive(byte)) {
      if (byte == 'l') byte = server_.admit(id_) ? 'y' : 'n';
      if (byte == 's') is_stubborn_ = true;
      say(byte);
      if (byte == 'h') {
        EXPECT_EQ(env::wait_for(-1, 0, env::Wait::for_at_most(base::Seconds(60), &let_go_)),
                  env::Ready::kStopped);
        return;
      }
    }
    if (was_stopped_) say('.');
    server_.note(accepted_.peer_address() + " is gone");
  }
  void stop() override {
    if (is_stubborn_) return;
    was_stopped_ = true;
    shutdown(accepted_.fd, SHUT_RD);
  }
  void drop() override { shutdown(accepted_.fd, SHUT_RDWR); }
  std::uint64_t id() const { return id_; }

 private:
  bool receive(char& byte) const {
    const auto wait = env::Wait::for_at_most(base::Seconds(60));
    return env::wait_for(accepted_.fd, POLLIN, wait) == env::Ready::kYes &&
           recv(accepted_.fd, &byte, 1, 0) == 1;
  }
  void say(char byte) const {
    [[maybe_unused]] const ssize_t sent = send(accepted_.fd, &byte, 1, MSG_NOSIGNAL);
  }

  ConnectionServer& server_;
  const env::StopEvent& let_go_;
  const std::uint64_t id_;
  const Accepted accepted_;
  std::atomic<bool> is_stubborn_ = false;
  std::atomic<bool> was_stopped_ = false;
};

class Lines final : public base::Reporter {
 public:
  void step(std::string_view, std::string_view) override {}
  void info(std::string_view line) override { all.emplace_back(line); }
  void check(std::string_view, std::string_view) override {}
  void detail(std::string_view) override {}
  void warn(std::string_view, std::string_view) override {}
  void progress(const base::Progress&) override {}
  std::vector<std::string> all;
};

class ConnectionsTest : public ::testing::Test {
 protected:
  void TearDown() override {
    if (connections_) {
      let_go_.set();
      connections_->stop_all(base::Seconds(0));
      EXPECT_TRUE(all_end());
    }
    for (const int fd : sockets_) close(fd);
  }
  void start(const ConnectionBounds& bounds = {}) {
    connections_.emplace(bounds, [this](std::uint64_t id, Accepted accepted) { return open(id, accepted); });
    const auto listens = connections_->listen({kOwnAddress, 0});
    ASSERT_TRUE(listens) << listens.error().message;
  }
  Result<std::unique_ptr<Echo>> open(std::uint64_t id, const Accepted& accepted) {
    ++asked_for_;
    if (refuses_) {
      close(accepted.fd);
      return base::Error(base::ErrorCode::kIo, "no more of them");
    }
    return std::make_unique<Echo>(*connections_, let_go_, id, accepted);
  }
  void go_round(Deadline until, int fd = -1) {
    connections_->wait(until, {fd});
    connections_->attend(lines_);
  }

  int connect(std::uint32_t from = INADDR_LOOPBACK) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockets_.push_back(fd);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(from);
    EXPECT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    address.sin_addr.s_addr = inet_addr(kOwnAddress);
    address.sin_port = htons(connections_->addresses().front().port);
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  /// What the connection says next; kClosed: it has ended.
  char hear(int fd) {
    const auto until = Deadline::after(base::Seconds(30));
    while (!until.passed()) {
      char byte = 0;
      const ssize_t count = recv(fd, &byte, 1, MSG_DONTWAIT);
      if (count > 0) return byte;
      if (count == 0 || errno != EAGAIN) return kClosed;
      go_round(until, fd);
    }
    return '?';
  }
  char ask(int fd, char byte) {
    EXPECT_EQ(send(fd, &byte, 1, MSG_NOSIGNAL), 1);
    return hear(fd);
  }
  std::vector<std::uint64_t> ids() const {
    std::vector<std::uint64_t> seen;
    connections_->for_each([&seen](std::uint64_t id, const Echo& echo) {
      EXPECT_EQ(echo.id(), id);
      seen.push_back(id);
    });
    return seen;
  }
  static bool is_open_and_silent(int fd) {
    char byte = 0;
    return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
  }
  bool all_end() {
    const auto until = Deadline::after(base::Seconds(30));
    while (true) {
      connections_->attend(lines_);
      if (connections_->is_empty()) return true;
      if (until.passed()) return false;
      connections_->wait(until);
    }
  }

  env::StopEvent let_go_;
  std::optional<Connections<Echo>> connections_;
  Lines lines_;
  std::vector<int> sockets_;
  std::size_t asked_for_ = 0;
  bool refuses_ = false;
};

TEST_F(ConnectionsTest, EachIsServedWhateverTheOthersDo) {
  start();
  const int hanging = connect();
  EXPECT_EQ(ask(hanging, 'h'), 'h');
  const int first = connect();
  const int second = connect();
  EXPECT_EQ(ask(second, '2'), '2');
  EXPECT_EQ(ask(first, '1'), '1');
  EXPECT_EQ(ask(second, 'x'), 'x');
}

TEST_F(ConnectionsTest, TheOldestComesFirstAndWhatHasEndedIsNotSeen) {
  start();
  const int first = connect();
  for (const int fd : {first, connect(), connect()}) EXPECT_EQ(ask(fd, 'x'), 'x');
  EXPECT_EQ(ids(), (std::vector<std::uint64_t>{1, 2, 3}));
  shutdown(first, SHUT_WR);
  const auto until = Deadline::after(base::Seconds(30));
  while (ids().size() == 3 && !until.passed()) connections_->wait(until);  // nobody takes it away yet
  EXPECT_EQ(ids(), (std::vector<std::uint64_t>{2, 3}));
}

TEST_F(ConnectionsTest, OneMoreMayNotLogInUntilAnotherHasEnded) {
  start({.max_logged_in = 1});
  const int first = connect();
  EXPECT_EQ(ask(first, 'l'), 'y');
  EXPECT_EQ(ask(connect(), 'l'), 'n');
  shutdown(first, SHUT_WR);
  EXPECT_EQ(hear(first), kClosed);
  EXPECT_EQ(ask(connect(), 'l'), 'y');
}

TEST_F(ConnectionsTest, OfThoseThatDoNotLogInTheOldestGoes) {
  start({.max_not_logged_in = 4});
  const int logged_in = connect();
  EXPECT_EQ(ask(logged_in, 'l'), 'y');
  std::vector<int> idle;
  for (int i = 0; i < 40; ++i) idle.push_back(connect());
  for (std::size_t i = 0; i < 36; ++i) EXPECT_EQ(hear(idle[i]), kClosed) << i;
  for (std::size_t i = 36; i < 40; ++i) EXPECT_EQ(ask(idle[i], 'x'), 'x') << i;
  EXPECT_EQ(ask(logged_in, 'x'), 'x');
}

TEST_F(ConnectionsTest, WhoFillsThePlacesBeforeTheLoginTakesThemFromHimself) {
  start({.max_not_logged_in = 4});
  const int waiting = connect(INADDR_LOOPBACK + 1);
  std::vector<int> flood;
  for (int i = 0; i < 20; ++i) flood.push_back(connect());
  for (std::size_t i = 0; i < 17; ++i) EXPECT_EQ(hear(flood[i]), kClosed) << i;
  EXPECT_TRUE(is_open_and_silent(waiting)) << "the oldest of all, of another address";
  EXPECT_EQ(ask(waiting, 'x'), 'x');
}

TEST_F(ConnectionsTest, NothingIsAcceptedWhileThoseThatAreEndingHaveNot) {
  start({.max_logged_in = 1, .max_not_logged_in = 1});
  constexpr std::size_t kAll = 2 + kMaxEnding;
  for (std::size_t i = 0; i < kAll; ++i) EXPECT_EQ(ask(connect(), 'h'), 'h') << i;
  const int one_more = connect();
  for (int i = 0; i < 10; ++i) go_round(Deadline::after(base::Milliseconds(1)));
  EXPECT_EQ(asked_for_, kAll);
  EXPECT_TRUE(is_open_and_silent(one_more));
  let_go_.set();
  EXPECT_EQ(ask(one_more, 'x'), 'x');
}

TEST_F(ConnectionsTest, AtTheEndAllAreStoppedAndThoseThatGoOnAreDroppedInTime) {
  start();
  const int first = connect();
  const int stubborn = connect();
  const int last = connect();
  EXPECT_EQ(ask(first, 'x'), 'x');
  EXPECT_EQ(ask(stubborn, 's'), 's');
  EXPECT_EQ(ask(last, 'x'), 'x');
  connections_->stop_all(base::Seconds(60));
  EXPECT_EQ(hear(first), '.');
  EXPECT_EQ(hear(last), '.');
  EXPECT_EQ(hear(last), kClosed);
  EXPECT_EQ(ask(stubborn, 'x'), 'x');
  EXPECT_FALSE(connections_->is_empty());
  connections_->stop_all(base::Milliseconds(50));
  EXPECT_EQ(hear(stubborn), kClosed);
  EXPECT_TRUE(all_end());
  EXPECT_EQ(lines_.all, std::vector<std::string>(3, "127.0.0.1 is gone"));
  ASSERT_EQ(connections_->addresses().size(), 1U);
  EXPECT_TRUE(Listener::open(connections_->addresses().front())) << "nobody listens there any more";
}

TEST_F(ConnectionsTest, WhatCannotBeServedIsTurnedAwayAndSaid) {
  start();
  refuses_ = true;
  EXPECT_EQ(hear(connect()), kClosed);
  EXPECT_EQ(lines_.all, std::vector<std::string>{"no more of them"});
  refuses_ = false;
  EXPECT_EQ(ask(connect(), 'x'), 'x');
}

TEST_F(ConnectionsTest, AProcessWithoutDescriptorsTakesConnectionsWhenItHasThemAgain) {
  start();
  const int fd = connect();
  const int next = dup(fd);  // the lowest that is free
  close(next);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit tight{static_cast<rlim_t>(next), before.rlim_max};
  const base::Stopwatch watch;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
  const auto until = Deadline::after(base::Seconds(30));
  while (lines_.all.empty() && !until.passed()) go_round(until);
  for (int i = 0; i < 10; ++i) go_round(Deadline::after(base::Milliseconds(1)));
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  const auto tries = 1 + std::chrono::duration_cast<base::Seconds>(watch.elapsed()).count();
  EXPECT_FALSE(lines_.all.empty());
  EXPECT_LE(lines_.all.size(), static_cast<std::size_t>(tries)) << "at once it does not try again";
  EXPECT_EQ(ask(fd, 'x'), 'x');
}

TEST_F(ConnectionsTest, MoreThanMayBeOpenAreRefused) {
  start({.max_logged_in = std::size_t{1} << 40U});
  const auto allowed = connections_->allow_open_files(3);
  ASSERT_FALSE(allowed);
  EXPECT_EQ(allowed.error().code, base::ErrorCode::kPrecondition) << allowed.error().message;
}

TEST_F(ConnectionsTest, OfTooManyLinesTheNumberIsSaid) {
  start();
  for (int i = 0; i < 1005; ++i) connections_->note(std::to_string(i));
  connections_->attend(lines_);
  ASSERT_EQ(lines_.all.size(), 1001U);
  EXPECT_EQ(lines_.all[999], "999");
  EXPECT_EQ(lines_.all.back(), "5 more lines were left out");
  connections_->wait(Deadline::after(base::Seconds(0)));
  connections_->note("the next one");
  const auto until = Deadline::after(base::Seconds(30));
  go_round(until);
  EXPECT_FALSE(until.passed()) << "a line ends the wait";
  EXPECT_EQ(lines_.all.back(), "the next one");
}

}  // namespace
}  // namespace standfast::net
