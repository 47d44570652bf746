// A stream as a server may send it: cut anywhere, with what it should not say in between.
#include "pg/client/copy_both.h"

#include <array>
#include <string>
#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pg/client/replication_connection.h"
#include "pg/format/backend_reply.h"

namespace standfast::client {
namespace {

using namespace std::string_literals;
using Event = Connection::CopyEvent;
using Kind = Connection::ResultKind;

enum class Leave : std::uint8_t {
  kWhenClientHas,  ///< with all that it says read
  kAtOnce          ///< what it still says is answered by a reset
};

/// Lets a client in without asking who it is, then answers each of its statements with the next of its
/// answers, `piece_bytes` at a time, and ends the connection after the last.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::vector<std::string> answers, std::size_t piece_bytes = 1U << 20U,
                          Leave leave = Leave::kWhenClientHas)
      : answers_(std::move(answers)),
        piece_bytes_(piece_bytes),
        leave_(leave),
        listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(listener_, generic, length), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    EXPECT_EQ(getsockname(listener_, generic, &length), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~ScriptedServer() { end(); }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  /// The kinds of the messages that came, in their order; the client must have gone.
  std::string heard() {
    end();
    return heard_;
  }
  std::uint16_t port() const { return port_; }

 private:
  void end() {
    if (!thread_.joinable()) return;
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  void serve() {
    const int client = accept(listener_, nullptr, nullptr);
    if (client < 0) return;
    std::string message = read_message(client, false);
    say(client, pg::encode_authentication_ok() + pg::encode_parameter_status("server_version", "15.1") +
                    pg::encode_ready_for_query());
    for (const std::string& answer : answers_) {
      do {
        message = read_message(client, true);
        heard_ += message.substr(0, 1);
      } while (!message.empty() && message.front() != 'Q');
      if (message.empty()) break;
      say(client, answer);
    }
    shutdown(client, SHUT_WR);
    while (leave_ == Leave::kWhenClientHas && !read_message(client, true).empty()) {
    }
    close(client);
  }
  void say(int client, const std::string& text) const {
    for (std::size_t at = 0; at < text.size(); at += piece_bytes_) {
      const std::string piece = text.substr(at, piece_bytes_);
      if (write(client, piece.data(), piece.size()) < 0) return;
    }
  }
  static std::string read_message(int client, bool has_kind) {
    std::string message;
    const auto read_up_to = [&](std::size_t bytes) {
      const std::size_t had = message.size();
      message.resize(bytes);
      return recv(client, message.data() + had, bytes - had, MSG_WAITALL) ==
             static_cast<ssize_t>(bytes - had);
    };
    const std::size_t header = has_kind ? 5 : 4;
    if (!read_up_to(header)) return "";
    base::ByteReader reader(base::as_bytes(message).subspan(header - 4));
    return read_up_to(header - 4 + *reader.u32_be()) ? message : "";
  }

  std::vector<std::string> answers_;
  std::size_t piece_bytes_;
  Leave leave_;
  int listener_;
  std::uint16_t port_ = 0;
  std::string heard_;
  std::thread thread_;
};

env::Wait soon() {
  return env::Wait::for_at_most(base::Seconds(60));
}

Connection connect(const ScriptedServer& server) {
  ConnectOptions options;
  options.set("hostaddr", "127.0.0.1").set("port", std::to_string(server.port())).set("user", "u");
  options.set("sslmode", "disable").set("gssencmode", "disable");
  auto connection = Connection::open(options, soon());
  EXPECT_TRUE(connection) << connection.error().message;
  return *std::move(connection);
}

std::string copy_data(const std::string& text) {
  return pg::encode_message('d', text);
}

std::string rows_of_next_timeline() {
  const std::array columns{pg::Column{"next_tli", pg::ColumnType::kInt8}, pg::Column{"next_tli_startpos"}};
  const std::array<pg::RowValue, 2> values{"2", "0/3000000"};
  return pg::encode_row_description(columns) + pg::encode_data_row(values) +
         pg::encode_command_complete("SELECT");
}

std::string report(pg::Severity severity) {
  return pg::encode_report({.severity = severity, .sqlstate = "58P01", .message = "it is gone"});
}

/// All that comes up to the end of the copy, one after the other.
std::string receive_all(Connection& connection) {
  std::string all;
  while (true) {
    const auto message = connection.receive_copy(soon());
    if (!message || message->event == Event::kEnd) return all;
    all += base::as_text(message->data);
  }
}

TEST(CopyBoth, AStreamIsTheSameHoweverItsBytesAreCut) {
  const std::string stream =
      pg::encode_copy_both_response() + copy_data("one") + report(pg::Severity::kWarning) + copy_data("") +
      pg::encode_parameter_status("in_hot_standby", "off") + copy_data("two") + pg::encode_copy_done() +
      rows_of_next_timeline() + pg::encode_command_complete("START_STREAMING") + pg::encode_ready_for_query();
  for (const std::size_t piece_bytes : {1U, 2U, 3U, 7U, 64U, 100000U}) {
    const ScriptedServer server({stream, rows_of_next_timeline() + pg::encode_ready_for_query()},
                                piece_bytes);
    Connection connection = connect(server);
    const auto answer = connection.begin_copy_both("START_REPLICATION 0/1", soon());
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->kind, Kind::kCopyBoth);
    EXPECT_EQ(receive_all(connection), "onetwo");
    EXPECT_EQ(connection.next_result(soon())->kind, Kind::kCopyBoth);
    ASSERT_TRUE(connection.send_copy_end(soon()));
    const auto rows = connection.next_result(soon());
    ASSERT_TRUE(rows) << rows.error().message;
    ASSERT_EQ(rows->kind, Kind::kRows);
    EXPECT_EQ(rows->rows->get(0, "next_tli"), "2");
    EXPECT_EQ(rows->rows->get(0, "next_tli_startpos"), "0/3000000");
    EXPECT_EQ(connection.next_result(soon())->kind, Kind::kCommandDone);
    EXPECT_EQ(connection.next_result(soon())->kind, Kind::kNone);
    ASSERT_EQ(connection.notices().size(), 1U);
    EXPECT_TRUE(connection.notices()[0].is_warning);
    // It is libpq's again.
    const auto later = connection.simple_query("IDENTIFY_SYSTEM", soon());
    ASSERT_TRUE(later) << later.error().message;
    EXPECT_EQ(later->get(0, "next_tli"), "2");
  }
}

TEST(CopyBoth, ALongMessageIsTakenWhole) {
  const std::string longest(pg::kMaxBackendMessageBytes - pg::kBackendHeaderBytes, 'x');
  const ScriptedServer server({pg::encode_copy_both_response() + copy_data("a") + copy_data(longest) +
                               copy_data("b") + pg::encode_copy_done()},
                              100000);
  Connection connection = connect(server);
  ASSERT_TRUE(connection.begin_copy_both("START_REPLICATION 0/1", soon()));
  EXPECT_EQ(receive_all(connection), "a" + longest + "b");
}

TEST(CopyBoth, AnErrorOfTheServerLeavesTheConnection) {
  const std::string done = pg::encode_command_complete("SHOW") + pg::encode_ready_for_query();
  const ScriptedServer server({report(pg::Severity::kError) + pg::encode_ready_for_query(),
                               pg::encode_copy_both_response() + copy_data("one") +
                                   report(pg::Severity::kError) + pg::encode_ready_for_query(),
                               done});
  Connection connection = connect(server);
  const auto refused = connection.begin_copy_both("START_REPLICATION 0/1", soon());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().sqlstate, "58P01");
  EXPECT_EQ(refused.error().message, "it is gone");
  ASSERT_TRUE(connection.begin_copy_both("START_REPLICATION 0/1", soon()));
  EXPECT_EQ(receive_all(connection), "one");
  const auto ended = connection.next_result(soon());
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().sqlstate, "58P01");
  EXPECT_TRUE(connection.execute("SHOW x", soon()));
}

TEST(CopyBoth, AServerThatIsStoppedEndsTheCommand) {
  const ScriptedServer server({pg::encode_copy_both_response() + pg::encode_command_complete("COPY 0")});
  Connection connection = connect(server);
  ASSERT_TRUE(connection.begin_copy_both("START_REPLICATION 0/1", soon()));
  EXPECT_EQ(receive_all(connection), "");
  EXPECT_EQ(connection.next_result(soon())->kind, Kind::kCommandDone);
}

TEST(CopyBoth, WhatMayNotBeEndsTheConnection) {
  const std::string begun = pg::encode_copy_both_response();
  for (const std::string& bad :
       {"\x01"s, "d\0\0\0\x03"s, "d\x7f\xff\xff\xff"s, begun + "d\0\0\0"s, begun + "d\0\x30\0\0"s,
        begun + "R"s, begun + pg::encode_ready_for_query(), begun + report(pg::Severity::kFatal), ""s,
        "T\0\0\0\x05\0"s, rows_of_next_timeline().substr(0, 70), begun + "N\0\0\0\x05S"s,
        "T\0\0\0\x06\0\0"s + "D\0\0\0\x08\0\x01\0\0"s}) {
    const ScriptedServer server({bad});
    Connection connection = connect(server);
    auto answer = connection.begin_copy_both("START_REPLICATION 0/1", soon());
    if (answer) {
      receive_all(connection);
      answer = connection.next_result(soon());
    }
    // What follows ReadyForQuery is libpq's, and finds the connection ended.
    EXPECT_TRUE(!answer || answer->kind == Kind::kNone);
    const auto later = connection.execute("SHOW x", soon());
    ASSERT_FALSE(later) << base::to_hex(base::as_bytes(bad));
    EXPECT_EQ(later.error().code, base::ErrorCode::kConnect);
  }
}

TEST(CopyBoth, WhatAServerSentBeforeItWentIsRead) {
  const std::string sent =
      pg::encode_copy_both_response() + copy_data("one") + copy_data("two") + report(pg::Severity::kFatal);
  ScriptedServer server({sent}, 1U << 20U, Leave::kAtOnce);
  Connection connection = connect(server);
  ASSERT_TRUE(connection.begin_copy_both("START_REPLICATION 0/1", soon()));
  pollfd end{connection.socket_fd(), POLLRDHUP, 0};
  ASSERT_EQ(poll(&end, 1, 60'000), 1);
  ASSERT_TRUE(connection.send_copy(base::as_bytes("status"), soon()));
  end.events = 0;  // the reset, which is told unasked
  ASSERT_EQ(poll(&end, 1, 60'000), 1);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(connection.send_copy(base::as_bytes("status"), soon()));
  EXPECT_EQ(receive_all(connection), "onetwo");
  const auto answer = connection.next_result(soon());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().message, "it is gone");
  EXPECT_FALSE(connection.is_open());
}

TEST(CopyBoth, WhatAServerEndsTheConnectionWithAfterTheAnswerIsTold) {
  const ScriptedServer server({pg::encode_copy_both_response() + pg::encode_command_complete("COPY 0") +
                               pg::encode_ready_for_query() + report(pg::Severity::kFatal)});
  Connection connection = connect(server);
  ASSERT_TRUE(connection.begin_copy_both("START_REPLICATION 0/1", soon()));
  receive_all(connection);
  EXPECT_EQ(connection.next_result(soon())->kind, Kind::kCommandDone);
  EXPECT_EQ(connection.next_result(soon())->kind, Kind::kNone);
  const auto later = connection.execute("SHOW x", soon());
  ASSERT_FALSE(later);
  EXPECT_EQ(later.error().message, "it is gone");
}

TEST(CopyBoth, NoStatementGoesIntoAStream) {
  const ScriptedServer server({pg::encode_copy_both_response()});
  Connection connection = connect(server);
  ASSERT_TRUE(connection.begin_copy_both("START_REPLICATION 0/1", soon()));
  EXPECT_FALSE(connection.execute("SHOW x", soon()));
  EXPECT_FALSE(connection.begin_copy_both("START_REPLICATION 0/1", soon()));
  EXPECT_TRUE(connection.is_open());
}

TEST(CopyBoth, AStopEventEndsTheWait) {
  const ScriptedServer server({pg::encode_copy_both_response(), ""});
  Connection connection = connect(server);
  ASSERT_TRUE(connection.begin_copy_both("START_REPLICATION 0/1", soon()));
  const auto nothing = connection.receive_copy(env::Wait::for_at_most(base::Milliseconds(1)));
  ASSERT_TRUE(nothing);
  EXPECT_EQ(nothing->event, Event::kTimeout);
  env::StopEvent stop;
  stop.set();
  const auto stopped = connection.receive_copy(env::Wait::for_at_most(base::Seconds(60), &stop));
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, base::ErrorCode::kCancelled);
  EXPECT_FALSE(connection.is_open());
}

TEST(CopyBoth, WhatIsSentIsFramed) {
  ScriptedServer server({pg::encode_copy_both_response(), pg::encode_ready_for_query()});
  {
    Connection connection = connect(server);
    ASSERT_TRUE(connection.begin_copy_both("START_REPLICATION 0/1", soon()));
    ASSERT_TRUE(connection.send_copy(base::as_bytes("status"), soon()));
    ASSERT_TRUE(connection.send_copy_end(soon()));
    ASSERT_TRUE(connection.send_copy_end(soon())) << "said once";
  }
  EXPECT_EQ(server.heard().substr(0, 3), "Qdc");
}

}  // namespace
}  // namespace standfast::client
