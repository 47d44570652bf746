#include "agent/client.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <functional>
#include <numeric>
#include <thread>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "agent/certificate_authority.h"
#include "env/network.h"

namespace standfast::agent {
namespace {

using base::ErrorCode;
using base::Result;
using std::chrono::hours;

constexpr pg::SystemId kCluster(7710978553056627143U);

UnixSeconds wall_clock() {
  return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
}

env::Wait soon() {
  return env::Wait::for_at_most(base::Seconds(60));
}

struct Cluster {
  Authority authority = *make_authority(kCluster, wall_clock() - hours(24));

  ClusterTrust trust() const { return {kCluster, authority.certificate_pem}; }
  Credentials give(const std::string& name) const {
    base::Secret key = *make_key();
    const auto request = check_request(*make_request(key));
    return {sign_member(authority, *request, {kCluster, name}, wall_clock())->certificate_pem,
            std::move(key)};
  }
};
const Cluster& cluster() {
  static const Cluster one;
  return one;
}

/// What an agent does: reads requests and answers as it is told.
class FakeAgent {
 public:
  using Behaviour = std::function<void(FakeAgent&)>;

  FakeAgent(int fd, Behaviour behaviour)
      : channel_(fd), behaviour_(std::move(behaviour)), thread_([this] { run(); }) {}

  /// No value: the client has closed.
  std::optional<Request> read() {
    std::array<std::byte, kMessageHeaderBytes> header{};
    if (!fill(header)) return std::nullopt;
    const auto length = message_bytes(header, Speaker::kMember);
    if (!length || !*length) return std::nullopt;
    std::vector<std::byte> message(header.begin(), header.end());
    message.resize(**length);
    if (!fill(std::span(message).subspan(kMessageHeaderBytes))) return std::nullopt;
    auto request = parse_request(message);
    return request ? std::optional(std::move(request).value()) : std::nullopt;
  }
  void say(const Answer& answer) { say_bytes(encode(answer)); }
  void say_bytes(const std::string& bytes) {
    static_cast<void>(channel_.write_all(base::as_bytes(bytes), soon()));
  }
  void greet() {
    const auto hello = read();
    EXPECT_TRUE(hello && std::get<Hello>(*hello).system_id == kCluster);
    say(Welcome{.server_version_num = 150018,
                .block_bytes = 8192,
                .segment_blocks = 131072,
                .wal_segment_bytes = 16U << 20U});
  }
  /// The next requests, as ranges to read.
  std::vector<ReadRange> read_ranges(std::size_t count) {
    std::vector<ReadRange> ranges;
    while (ranges.size() < count) {
      const auto request = read();
      if (!request || !std::holds_alternative<ReadRange>(*request)) break;
      ranges.push_back(std::get<ReadRange>(*request));
    }
    return ranges;
  }
  void wait_until_closed() {
    std::array<std::byte, 1> byte{};
    static_cast<void>(channel_.read_some(byte, soon()));
  }

 private:
  bool fill(std::span<std::byte> into) {
    while (!into.empty()) {
      const auto count = channel_.read_some(into, soon());
      if (!count || *count == 0) return false;
      into = into.subspan(*count);
    }
    return true;
  }
  void run() {
    const auto context = MemberContext::for_server(cluster().trust(), cluster().give("primary"),
                                                   MemberContext::Strangers::kRefused);
    if ((*context)->accept(channel_, soon())) behaviour_(*this);
    shutdown(channel_.fd(), SHUT_RDWR);
  }

  net::TlsChannel channel_;
  Behaviour behaviour_;
  std::jthread thread_;
};

class AgentClientTest : public ::testing::Test {
 protected:
  /// As the program does: one side writes to a socket that the other has closed.
  AgentClientTest() { signal(SIGPIPE, SIG_IGN); }
  using Client = std::unique_ptr<AgentClient>;

  static ClientOptions options() {
    ClientOptions options;
    options.context = *MemberContext::for_client(cluster().trust(), cluster().give("standby1"));
    options.system_id = kCluster;
    options.max_under_way = 3;
    return options;
  }
  Result<Client> meet(FakeAgent::Behaviour behaviour, ClientOptions with = options()) {
    std::array<int, 2> fds{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()), 0);
    agent_.emplace(fds[0], std::move(behaviour));
    return AgentClient::connect_over(fds[1], std::move(with), &stop_);
  }
  /// After the greeting.
  Client greeted(FakeAgent::Behaviour behaviour, ClientOptions with = options()) {
    auto client = meet(
        [behaviour = std::move(behaviour)](FakeAgent& agent) {
          agent.greet();
          behaviour(agent);
          agent.wait_until_closed();
        },
        std::move(with));
    EXPECT_TRUE(client) << client.error().message;
    return std::move(client).value();
  }
  static ReadRange range_at(std::uint64_t offset, Compression compression = Compression::kNone) {
    return {.file = 1, .offset = offset, .length_bytes = 8192, .compression = compression};
  }

  env::StopEvent stop_;
  std::optional<FakeAgent> agent_;
};

TEST_F(AgentClientTest, GreetsAndKnowsWhomItMet) {
  const auto client = greeted([](FakeAgent&) {});
  EXPECT_EQ(client->peer().name, "primary");
  EXPECT_EQ(client->welcome().server_version_num, 150018U);
}

TEST_F(AgentClientTest, OnlyTheMemberThatIsWanted) {
  ClientOptions with = options();
  with.member = "other";
  const auto client = meet([](FakeAgent&) {}, std::move(with));
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, ErrorCode::kCertificate);
}

TEST_F(AgentClientTest, ARefusalIsWhatTheAgentSaysAndTheConnectionGoesOn) {
  const auto client = greeted([](FakeAgent& agent) {
    agent.read();
    agent.say(Refused{ErrorCode::kPrecondition, "no backup", "Begin one."});
    agent.read();
    agent.say(Attached{});
  });
  const auto refused = client->attach({1, 2});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kPrecondition);
  EXPECT_EQ(refused.error().message, "no backup");
  EXPECT_TRUE(client->attach({1, 2}));
}

TEST_F(AgentClientTest, TheListOfRevokedCertificatesIsGivenAsItCame) {
  const auto client = greeted([](FakeAgent& agent) {
    const auto request = agent.read();
    EXPECT_TRUE(request && std::holds_alternative<ListRevoked>(*request));
    agent.say(RevokedCertificates{.list_pem = "a list"});
  });
  const auto list = client->list_revoked();
  ASSERT_TRUE(list) << list.error().message;
  EXPECT_EQ(*list, "a list");
}

FileEntry entry(std::uint32_t number) {
  return {.number = number, .mode = 0600, .path = "f" + std::to_string(number)};
}

TEST_F(AgentClientTest, TheListIsGatheredFromAllItsParts) {
  const auto client = greeted([](FakeAgent& agent) {
    agent.read();
    FileEntries first;
    for (std::uint32_t i = 0; i < kMaxEntriesInAnswer; ++i) first.entries.push_back(entry(i));
    agent.say(first);
    agent.say(FileEntries{.entries = {entry(5000)}});
    agent.say(FileEntries{.is_last = true});
  });
  const auto list = client->list_files();
  ASSERT_TRUE(list) << list.error().message;
  EXPECT_EQ(list->size(), kMaxEntriesInAnswer + 1);
  EXPECT_EQ(list->back().number, 5000U);
}

TEST_F(AgentClientTest, AListWhoseNumbersDoNotAscendAcrossAnswersIsRefused) {
  const auto client = greeted([](FakeAgent& agent) {
    agent.read();
    agent.say(FileEntries{.entries = {entry(7)}});
    agent.say(FileEntries{.entries = {entry(7)}, .is_last = true});
  });
  const auto list = client->list_files();
  ASSERT_FALSE(list);
  EXPECT_EQ(list.error().code, ErrorCode::kProtocol);
  EXPECT_FALSE(client->attach({1, 2}));  // nothing goes on after that
}

TEST_F(AgentClientTest, ALongListHasABound) {
  ClientOptions with = options();
  with.max_listed_entries = 2;
  const auto client = greeted(
      [](FakeAgent& agent) {
        agent.read();
        agent.say(FileEntries{.entries = {entry(1), entry(2), entry(3)}, .is_last = true});
      },
      std::move(with));
  const auto list = client->list_files();
  ASSERT_FALSE(list);
  EXPECT_EQ(list.error().code, ErrorCode::kPrecondition);
}

/// The agent answers nothing before it has all three.
TEST_F(AgentClientTest, SeveralAreAskedBeforeTheFirstIsReadAndBytesAreAligned) {
  std::string plain(8192, '\0');
  std::iota(plain.begin(), plain.end(), '\0');
  const auto client = greeted([&](FakeAgent& agent) {
    const auto ranges = agent.read_ranges(3);
    RangePacker packer;
    for (const ReadRange& range : ranges)
      agent.say(Answer(packer.pack(base::as_bytes(plain), range.compression)));
  });
  constexpr std::array kPacked = {Compression::kNone, Compression::kLz4, Compression::kZstd};
  for (std::size_t i = 0; i < kPacked.size(); ++i) ASSERT_TRUE(client->ask(range_at(i * 8192, kPacked[i])));
  EXPECT_EQ(client->under_way(), 3U);
  for (const Compression packed : kPacked) {
    const auto taken = client->take_bytes();
    ASSERT_TRUE(taken) << taken.error().message;
    EXPECT_EQ(base::as_text(taken->plain), plain);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(taken->plain.data()) % env::kDirectBlockBytes, 0U);
    EXPECT_EQ(taken->cost.asked, packed);
    EXPECT_FALSE(taken->is_gone);
  }
  EXPECT_EQ(client->under_way(), 0U);
}

TEST_F(AgentClientTest, HashesGoneFilesAndRefusedRangesComeInTheirOrder) {
  const auto client = greeted([](FakeAgent& agent) {
    for (int i = 0; i < 3; ++i) agent.read();
    agent.say(RangeHashes{.covered_bytes = 5000, .hashes = {{1, 2}, {3, 4}}});
    agent.say(RangeBytes{.is_gone = true});
    agent.say(Refused{ErrorCode::kIo, "could not read", ""});
  });
  ASSERT_TRUE(client->ask(HashRange{.file = 1, .offset = 0, .length_bytes = 8192, .run_bytes = 4096}));
  ASSERT_TRUE(client->ask(range_at(0)));
  ASSERT_TRUE(client->ask(range_at(8192)));
  const auto hashes = client->take_hashes();
  ASSERT_TRUE(hashes) << hashes.error().message;
  EXPECT_EQ(hashes->hashes.size(), 2U);
  const auto gone = client->take_bytes();
  ASSERT_TRUE(gone) << gone.error().message;
  EXPECT_TRUE(gone->is_gone);
  const auto refused = client->take_bytes();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kIo);
}

TEST_F(AgentClientTest, MoreThanWasAskedForIsRefused) {
  const std::string plain(8193, 'x');
  const auto client = greeted([&](FakeAgent& agent) {
    agent.read();
    agent.say(RangeBytes{.plain_bytes = 8193, .bytes = base::as_bytes(plain)});
  });
  ASSERT_TRUE(client->ask(range_at(0)));
  const auto taken = client->take_bytes();
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::kProtocol);
  EXPECT_FALSE(client->ask(range_at(0)));
}

TEST_F(AgentClientTest, WhatIsNoAnswerToTheQuestionEndsAll) {
  const std::vector<std::string> bad = {
      encode(Answer(Attached{})), std::string("\x01\0\0\0\x0c", 5),  // a request
      std::string("\x86\xff\xff\xff\xff", 5),                        // longer than any
      std::string("\x86\0\0\0\x06\x07\0\0\0\0\0", 11),               // no flag
  };
  for (const std::string& bytes : bad) {
    const auto client = greeted([&](FakeAgent& agent) {
      agent.read();
      agent.say_bytes(bytes);
    });
    ASSERT_TRUE(client->ask(range_at(0)));
    const auto taken = client->take_bytes();
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, ErrorCode::kProtocol) << taken.error().message;
    const auto again = client->attach({1, 2});
    EXPECT_FALSE(again);
  }
}

TEST_F(AgentClientTest, ASilentAgentIsNotWaitedForLongerThanItsDeadline) {
  ClientOptions with = options();
  with.patience.answer = base::Milliseconds(50);
  const auto client = greeted([](FakeAgent& agent) { agent.read(); }, std::move(with));
  const auto late = client->attach({1, 2});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kTimeout);
}

TEST_F(AgentClientTest, AnAgentThatStopsInTheMiddleOfARangeIsNotWaitedForAsForOneThatGoesOn) {
  ClientOptions with = options();
  with.patience.silence = base::Milliseconds(50);
  const auto client = greeted(
      [](FakeAgent& agent) {
        agent.read();
        agent.say_bytes(std::string("\x86\0\0\x10\0", 5));
      },
      std::move(with));
  ASSERT_TRUE(client->ask(range_at(0)));
  const auto late = client->take_bytes();
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kTimeout);
}

TEST_F(AgentClientTest, AnAgentThatClosesIsAConnectionLost) {
  auto client = meet([](FakeAgent& agent) {
    agent.greet();
    agent.read();
    agent.say_bytes(std::string("\x86\0\0", 3));
  });
  ASSERT_TRUE(client) << client.error().message;
  ASSERT_TRUE((*client)->ask(range_at(0)));
  const auto lost = (*client)->take_bytes();
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, ErrorCode::kConnect) << lost.error().message;
}

TEST_F(AgentClientTest, AStopEndsAWait) {
  const auto client = greeted([this](FakeAgent& agent) {
    agent.read();
    stop_.set();
  });
  const auto stopped = client->attach({1, 2});
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
}

TEST(AgentClientConnect, NobodyListens) {
  ClientOptions with;
  with.context = *MemberContext::for_client(cluster().trust(), cluster().give("standby1"));
  with.system_id = kCluster;
  const auto client = AgentClient::connect({"127.0.0.1", *env::find_free_port()}, with, nullptr);
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, ErrorCode::kConnect);
  EXPECT_TRUE(client.error().retryable);
}

}  // namespace
}  // namespace standfast::agent
