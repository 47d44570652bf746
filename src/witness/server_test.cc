// A server on the loopback, libpq as its client.
#include "witness/server.h"

#include <cstdlib>
#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pg/client/replication_connection.h"
#include "wal/wal_builder.h"
#include "witness/served_folder.h"

namespace standfast::witness {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::uint64_t kSegmentBytes = 1U << 20U;
constexpr const char* kUsers =
    "user:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n";

env::Wait soon() {
  return env::Wait::for_at_most(base::Seconds(60));
}

/// A key and a certificate for it, into PEM files.
void make_certificate(const std::string& certificate_path, const std::string& key_path) {
  const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(EVP_RSA_gen(2048), EVP_PKEY_free);
  const std::unique_ptr<X509, void (*)(X509*)> certificate(X509_new(), X509_free);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("witness"), -1,
                             -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  ASSERT_GT(X509_sign(certificate.get(), key.get(), EVP_sha256()), 0);
  for (const auto& path : {certificate_path, key_path}) {
    FILE* file = fopen(path.c_str(), "we");
    ASSERT_NE(file, nullptr);
    chmod(path.c_str(), 0600);
    if (path == key_path) {
      PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    } else {
      PEM_write_X509(file, certificate.get());
    }
    fclose(file);
  }
}

class Lines final : public base::Reporter {
 public:
  void step(std::string_view, std::string_view) override {}
  void info(std::string_view line) override { text += std::string(line) + "\n"; }
  void check(std::string_view, std::string_view) override {}
  void detail(std::string_view) override {}
  void warn(std::string_view line, std::string_view) override {
    text += "warning: " + std::string(line) + "\n";
  }
  void progress(const base::Progress&) override {}
  std::string text;
};

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "standfast-serve-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    ASSERT_TRUE(files_.make_directory(folder_ + "/wal", 0700));
    write("users", kUsers);
    for (int i = 0; i < 300; ++i)
      builder_.append({.data = std::string(10'000, static_cast<char>('a' + i % 26))});
    for (pg::Lsn at = builder_.start(); at < builder_.end(); at = at + kSegmentBytes) {
      const bool is_last = at + kSegmentBytes > builder_.end();
      write("wal/" + std::string(segment_name(at)) + (is_last ? ".partial" : ""), builder_.segment(at));
    }
    options_.folder = folder_ + "/wal";
    options_.users_file = folder_ + "/users";
    options_.listen = {{"127.0.0.1", 0}};
    options_.stop_patience = base::Seconds(1);
  }
  void TearDown() override {
    stop();
    ASSERT_TRUE(env::remove_tree(files_, folder_));
  }
  static std::string segment_name(pg::Lsn at) {
    return store::segment_file_name({pg::TimelineId(1), at, store::SegmentForm::kWhole}, kSegmentBytes);
  }
  void write(const std::string& name, const std::string& content) {
    ASSERT_TRUE(env::write_file_durably(files_, folder_ + "/" + name, content, {.mode = 0600}));
  }
  void start() {
    const auto facts = facts_of_folder(files_, options_.folder);
    ASSERT_TRUE(facts && *facts);
    options_.facts = **facts;
    slots_ = *store::Slots::open(
        files_,
        {.folder = options_.folder, .segment_bytes = kSegmentBytes, .max_keep_bytes = max_keep_bytes_});
    auto opened = Server::open(files_, news_, *slots_, options_);
    ASSERT_TRUE(opened) << opened.error().message;
    server_ = *std::move(opened);
    publish(builder_.end());
    thread_ = std::thread([this] { EXPECT_TRUE(server_->run(lines_, stop_)); });
  }
  void stop() {
    stop_.set();
    if (thread_.joinable()) thread_.join();
  }
  void publish(pg::Lsn end) { news_.publish({.timeline = pg::TimelineId(1), .durable_end = end}); }

  client::ConnectOptions login(const std::string& password = "pencil",
                               const std::string& user = "user") const {
    client::ConnectOptions options;
    options.set("host", "127.0.0.1").set("port", std::to_string(server_->addresses().front().port));
    options.set("user", user).set("application_name", "standby1").set("sslmode", "prefer");
    options.password = base::Secret(password);
    return options;
  }
  base::Result<client::ReplicationConnection> connect(const client::ConnectOptions& options) const {
    return client::ReplicationConnection::open(options, soon());
  }
  void connect_raw(int fd) const {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->addresses().front().port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  int connect_raw() const {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connect_raw(fd);
    return fd;
  }
  static bool is_closed_by_peer(int fd) {
    char byte = 0;
    return env::wait_for(fd, POLLIN, soon()) == env::Ready::kYes && recv(fd, &byte, 1, 0) <= 0;
  }
  void stream_with_slot(client::ReplicationConnection& connection, const std::string& slot) {
    ASSERT_TRUE(connection.start_replication({slot, builder_.start(), pg::TimelineId(1)}, soon()));
  }
  static void tell(client::ReplicationConnection& connection, const pg::HotStandbyFeedback& feedback) {
    ASSERT_TRUE(
        connection.connection().send_copy(base::as_bytes(pg::encode_hot_standby_feedback(feedback)), soon()));
  }
  bool offers(std::uint32_t epoch, std::uint32_t xmin) const {
    const auto until = soon().deadline;
    while (!until.passed()) {
      const auto oldest = server_->oldest_feedback();
      if (oldest && oldest->xmin == xmin && oldest->xmin_epoch == epoch) return true;
      std::this_thread::yield();
    }
    return false;
  }
  /// The WAL from `start` on until `end` has come.
  static std::string receive(client::ReplicationConnection& connection, pg::Lsn start, pg::Lsn end) {
    std::string wal;
    while (start + wal.size() < end) {
      const auto message = connection.connection().receive_copy(soon());
      if (!message || message->event != client::Connection::CopyEvent::kData) break;
      const auto parsed = pg::parse_replication_message(message->data);
      if (const auto* data = parsed ? std::get_if<pg::WalData>(&*parsed) : nullptr)
        wal += base::as_text(data->data);
    }
    return wal;
  }

  env::FileSystem& files_ = env::posix_file_system();
  std::string folder_;
  wal::testing::WalBuilder builder_{{.segment_bytes = kSegmentBytes}};
  ServerOptions options_;
  std::optional<std::uint64_t> max_keep_bytes_;
  StoreNews news_;
  std::unique_ptr<store::Slots> slots_;
  std::unique_ptr<Server> server_;
  env::StopEvent stop_;
  Lines lines_;
  std::thread thread_;
};

TEST_F(ServerTest, AClientLogsInAndGetsTheBytesAsTheyBecomeDurable) {
  start();
  const pg::Lsn middle = builder_.records()[150].end;
  publish(middle);
  auto connection = connect(login());
  ASSERT_TRUE(connection) << connection.error().message;
  const auto identity = connection->identify_system(soon());
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->wal_position, middle);
  EXPECT_EQ(*connection->wal_segment_bytes(soon()), kSegmentBytes);
  ASSERT_TRUE(connection->create_physical_slot({.name = "s1"}, soon()));
  ASSERT_TRUE(connection->start_replication({"s1", builder_.start(), pg::TimelineId(1)}, soon()));
  const std::string first = receive(*connection, builder_.start(), middle);
  EXPECT_TRUE(first == builder_.bytes().substr(0, middle.bytes_since(builder_.start())));
  publish(builder_.end());
  EXPECT_TRUE(first + receive(*connection, middle, builder_.end()) == builder_.bytes());

  pg::StandbyStatus status{.write = builder_.end(), .flush = builder_.end()};
  ASSERT_TRUE(connection->connection().send_copy(base::as_bytes(pg::encode_standby_status(status)), soon()));
  ASSERT_TRUE(connection->end_replication(soon()));
  EXPECT_EQ((*connection->read_slot("s1", soon()))->restart, builder_.end());
}

TEST_F(ServerTest, AWrongPasswordAndAnUnknownUserAreRefusedInTheSameWords) {
  start();
  const auto wrong = connect(login("pencil2"));
  const auto unknown = connect(login("pencil", "nobody"));
  ASSERT_FALSE(wrong || unknown);
  EXPECT_EQ(wrong.error().code, ErrorCode::kAuthentication);
  EXPECT_EQ(unknown.error().code, ErrorCode::kAuthentication);
  EXPECT_NE(wrong.error().message.find("password authentication failed for user \"user\""),
            std::string::npos);
  EXPECT_NE(unknown.error().message.find("password authentication failed for user \"nobody\""),
            std::string::npos);
  EXPECT_TRUE(connect(login()));
}

TEST_F(ServerTest, ALoginIsBoundToTheCertificate) {
  options_.tls = TlsContext::Files{folder_ + "/server.crt", folder_ + "/server.key"};
  make_certificate(options_.tls->certificate, options_.tls->key);
  start();
  auto options = login();
  options.set("sslmode", "require").set("channel_binding", "require");
  auto connection = connect(options);
  ASSERT_TRUE(connection) << connection.error().message;
  EXPECT_TRUE(connection->connection().uses_tls());
  ASSERT_TRUE(connection->start_replication({{}, builder_.start(), pg::TimelineId(1)}, soon()));
  EXPECT_TRUE(receive(*connection, builder_.start(), builder_.end()) == builder_.bytes());
}

TEST_F(ServerTest, AKeyThatOthersMayReadIsRefused) {
  options_.tls = TlsContext::Files{folder_ + "/server.crt", folder_ + "/server.key"};
  make_certificate(options_.tls->certificate, options_.tls->key);
  ASSERT_TRUE(files_.set_mode(options_.tls->key, 0640));
  slots_ = *store::Slots::open(files_, {.folder = options_.folder, .segment_bytes = kSegmentBytes});
  const auto opened = Server::open(files_, news_, *slots_, options_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kPermission);
}

TEST_F(ServerTest, InClearTextItListensOnTheLoopbackAlone) {
  options_.listen = {{"0.0.0.0", 0}};
  slots_ = *store::Slots::open(files_, {.folder = options_.folder, .segment_bytes = kSegmentBytes});
  const auto opened = Server::open(files_, news_, *slots_, options_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kUsage);
}

TEST_F(ServerTest, OneMoreThatHasLoggedInIsRefused) {
  options_.max_connections = 1;
  start();
  auto first = connect(login());
  ASSERT_TRUE(first);
  const auto second = connect(login());
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("too many clients"), std::string::npos) << second.error().message;
  EXPECT_TRUE(first->identify_system(soon()));
}

TEST_F(ServerTest, OfThoseThatDoNotLogInTheOldestGoes) {
  options_.max_not_logged_in = 4;
  start();
  auto connection = connect(login());
  ASSERT_TRUE(connection);
  std::vector<int> idle;
  for (int i = 0; i < 40; ++i) idle.push_back(connect_raw());
  char byte = 0;
  // All but the last four have been closed.
  for (int i = 0; i < 36; ++i) {
    EXPECT_EQ(env::wait_for(idle[static_cast<std::size_t>(i)], POLLIN, soon()), env::Ready::kYes) << i;
    EXPECT_LE(recv(idle[static_cast<std::size_t>(i)], &byte, 1, 0), 0) << i;
  }
  EXPECT_LT(recv(idle.back(), &byte, 1, MSG_DONTWAIT), 0);
  EXPECT_TRUE(connection->identify_system(soon()));
  EXPECT_TRUE(connect(login()));
  for (const int fd : idle) close(fd);
}

TEST_F(ServerTest, AProcessWithoutDescriptorsTurnsConnectionsAwayAndGoesOn) {
  start();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int next = dup(fd);  // the lowest that is free
  close(next);
  const rlimit tight{static_cast<rlim_t>(next + 1), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
  connect_raw(fd);  // which is enough to take it, and no more
  EXPECT_TRUE(is_closed_by_peer(fd));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  close(fd);
  EXPECT_TRUE(connect(login()));
}

TEST_F(ServerTest, MoreConnectionsThanMayBeOpenAreRefusedAtTheStart) {
  options_.max_connections = std::size_t{1} << 40U;
  slots_ = *store::Slots::open(files_, {.folder = options_.folder, .segment_bytes = kSegmentBytes});
  const auto opened = Server::open(files_, news_, *slots_, options_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kPrecondition) << opened.error().message;
}

TEST_F(ServerTest, WhoAsksIsToldOfWhatWasPublishedBefore) {
  start();
  auto connection = connect(login());
  ASSERT_TRUE(connection);
  for (std::size_t i = 0; i < 20; ++i) {
    const pg::Lsn end = builder_.records()[100 + i].end;
    publish(end);
    EXPECT_EQ(connection->identify_system(soon())->wal_position, end);
  }
}

TEST_F(ServerTest, AStreamWhoseSlotIsLostEnds) {
  max_keep_bytes_ = kSegmentBytes;
  start();
  auto user = connect(login());
  auto other = connect(login());
  ASSERT_TRUE(user && other);
  publish(builder_.start());
  ASSERT_TRUE(user->create_physical_slot({.name = "s1"}, soon()));
  stream_with_slot(*user, "s1");
  tell(*user, {.xmin = 700});
  pg::StandbyStatus status{.write = builder_.start(), .flush = builder_.start()};
  ASSERT_TRUE(user->connection().send_copy(base::as_bytes(pg::encode_standby_status(status)), soon()));
  ASSERT_TRUE(offers(0, 700));
  publish(builder_.end());
  auto ended = user->connection().receive_copy(soon());
  while (ended && ended->event == client::Connection::CopyEvent::kData) {
    ended = user->connection().receive_copy(soon());
  }
  const auto next = user->read_end_of_stream(soon());
  const std::string message = !ended ? ended.error().message : next ? "" : next.error().message;
  EXPECT_NE(message.find("held back more WAL than its bound allows"), std::string::npos) << message;
  EXPECT_TRUE(offers(0, 0));
  EXPECT_TRUE(other->identify_system(soon()));
}

TEST_F(ServerTest, AHistoryThatCannotBeReadIsAnswered) {
  start();
  write("wal/00000002.history", std::string((1U << 20U) + 1, '#'));
  auto connection = connect(login());
  ASSERT_TRUE(connection);
  const auto history = connection->timeline_history(pg::TimelineId(2), soon());
  ASSERT_FALSE(history);
  EXPECT_EQ(history.error().sqlstate, "58030");
  EXPECT_TRUE(connection->identify_system(soon()));
}

TEST_F(ServerTest, TheFeedbackOfASlotOutlivesItsStream) {
  start();
  EXPECT_FALSE(server_->oldest_feedback()) << "nobody has said anything yet";
  auto user = connect(login());
  auto other = connect(login());
  ASSERT_TRUE(user && other);
  ASSERT_TRUE(user->create_physical_slot({.name = "s1"}, soon()));
  stream_with_slot(*user, "s1");
  tell(*user, {.xmin = 700});
  EXPECT_TRUE(offers(0, 700));
  user->connection().close();
  ASSERT_TRUE(other->start_replication({{}, builder_.start(), pg::TimelineId(1)}, soon()));
  tell(*other, {.xmin = 800});
  tell(*other, {});
  stop();
  EXPECT_TRUE(offers(0, 700));
  slots_ = *store::Slots::open(files_, {.folder = options_.folder, .segment_bytes = kSegmentBytes});
  const auto again = Server::open(files_, news_, *slots_, options_);
  ASSERT_TRUE(again);
  EXPECT_EQ((*again)->oldest_feedback()->xmin, 700U);
}

TEST_F(ServerTest, AReaderThatDoesNotReadHoldsUpNobody) {
  start();
  auto slow = connect(login());
  auto other = connect(login());
  ASSERT_TRUE(slow && other);
  ASSERT_TRUE(slow->start_replication({{}, builder_.start(), pg::TimelineId(1)}, soon()));
  ASSERT_TRUE(other->start_replication({{}, builder_.start(), pg::TimelineId(1)}, soon()));
  EXPECT_TRUE(receive(*other, builder_.start(), builder_.end()) == builder_.bytes());
  EXPECT_TRUE(receive(*slow, builder_.start(), builder_.end()) == builder_.bytes());
}

TEST_F(ServerTest, GarbageHarmsNobody) {
  start();
  auto connection = connect(login());
  ASSERT_TRUE(connection);
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("\x00\x0f\x42\x40\x00\x03\x00\x00", 8),
        std::string(65536, '\xff'), std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11)}) {
    const int fd = connect_raw();
    EXPECT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    EXPECT_EQ(env::wait_for(fd, POLLIN, soon()), env::Ready::kYes);
    close(fd);
  }
  const int half = connect_raw();
  EXPECT_EQ(send(half, "\0\0", 2, MSG_NOSIGNAL), 2);
  EXPECT_TRUE(connection->identify_system(soon()));
  close(half);
}

TEST_F(ServerTest, ASlotThatIsHeldIsAnothersOnlyAfterwards) {
  start();
  auto first = connect(login());
  auto second = connect(login());
  ASSERT_TRUE(first && second);
  ASSERT_TRUE(first->create_physical_slot({.name = "s1"}, soon()));
  ASSERT_TRUE(first->start_replication({"s1", builder_.start(), pg::TimelineId(1)}, soon()));
  const auto refused = second->start_replication({"s1", builder_.start(), pg::TimelineId(1)}, soon());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().sqlstate, "55006");
  first->connection().close();
  // The connection that was refused goes on.
  const auto dropped = second->drop_slot("s1", soon());  // waits for it
  EXPECT_TRUE(dropped) << dropped.error().message;
}

TEST_F(ServerTest, WalThatIsNotThereHasBeenRemoved) {
  ASSERT_TRUE(files_.remove_file(options_.folder + "/" + segment_name(builder_.start() + kSegmentBytes)));
  start();
  auto connection = connect(login());
  ASSERT_TRUE(connection);
  ASSERT_TRUE(
      connection->start_replication({{}, builder_.start() + kSegmentBytes, pg::TimelineId(1)}, soon()));
  auto ended = connection->connection().receive_copy(soon());
  const auto next = connection->read_end_of_stream(soon());
  EXPECT_TRUE(!ended || ended->event == client::Connection::CopyEvent::kEnd);
  const std::string message = !ended ? ended.error().message : next ? "" : next.error().message;
  EXPECT_NE(message.find("has already been removed"), std::string::npos) << message;
}

TEST_F(ServerTest, TheOldestFeedbackOfAllStandbysIsOffered) {
  start();
  auto first = connect(login());
  auto second = connect(login());
  ASSERT_TRUE(first && second);
  for (auto* connection : {&*first, &*second}) {
    ASSERT_TRUE(connection->start_replication({{}, builder_.start(), pg::TimelineId(1)}, soon()));
  }
  tell(*first, {.xmin = 3, .xmin_epoch = 1});
  EXPECT_TRUE(offers(1, 3));
  tell(*second, {.xmin = 4'000'000'000});
  EXPECT_TRUE(offers(0, 4'000'000'000));
  EXPECT_EQ(server_->streams().size(), 2U);
  EXPECT_EQ(server_->streams().front().application_name, "standby1");
  second->connection().close();
  EXPECT_TRUE(offers(1, 3));
}

TEST_F(ServerTest, AtItsEndAStreamGetsAllThatIsDurable) {
  options_.stop_patience = base::Seconds(60);  // what is cut off on a busy machine is not what is meant here
  start();
  auto connection = connect(login());
  auto idle = connect(login());
  ASSERT_TRUE(connection && idle);
  ASSERT_TRUE(connection->start_replication({{}, builder_.start(), pg::TimelineId(1)}, soon()));
  stop_.set();
  EXPECT_TRUE(receive(*connection, builder_.start(), builder_.end()) == builder_.bytes());
  // What has all that there is, and says so, is not waited for any longer.
  const pg::StandbyStatus status{.write = builder_.end(), .flush = builder_.end()};
  EXPECT_TRUE(connection->connection().send_copy(base::as_bytes(pg::encode_standby_status(status)), soon()));
  thread_.join();
  EXPECT_FALSE(idle->identify_system(soon()));
  EXPECT_NE(lines_.text.find("has logged in as \"standby1\""), std::string::npos) << lines_.text;
}

TEST_F(ServerTest, UsersAreReadAgainAndKeptWhenTheyCannotBe) {
  start();
  write("users", "broken\n");
  EXPECT_FALSE(server_->reload());
  EXPECT_TRUE(connect(login()));
  write("users", "# nobody\n");
  EXPECT_TRUE(server_->reload());
  EXPECT_FALSE(connect(login()));
}

TEST_F(ServerTest, OtherFilesAreTakenUpOrNone) {
  start();
  ASSERT_TRUE(connect(login()));
  ServerAccess access{.users_file = folder_ + "/others"};
  EXPECT_FALSE(server_->reload(access)) << "there is no such file";
  EXPECT_TRUE(connect(login()));
  write("others", "# nobody\n");
  access.tls = TlsContext::Files{folder_ + "/server.crt", folder_ + "/server.key"};
  EXPECT_FALSE(server_->reload(access)) << "there is no such certificate";
  EXPECT_TRUE(connect(login()));
  make_certificate(access.tls->certificate, access.tls->key);
  EXPECT_TRUE(server_->reload(access));
  EXPECT_FALSE(connect(login()));
  // A later one without a word on what is the same files.
  write("others", kUsers);
  EXPECT_TRUE(server_->reload());
  const auto connection = connect(login());
  ASSERT_TRUE(connection);
  EXPECT_TRUE(connection->connection().uses_tls());
}

TEST_F(ServerTest, AFolderIsServedUpToItsProvenEnd) {
  const auto folder = open_served_folder(files_, options_.folder);
  ASSERT_TRUE(folder) << folder.error().message;
  EXPECT_EQ(folder->view.durable_end, builder_.end());
  EXPECT_EQ(folder->facts.server_version, "15");
  EXPECT_EQ(folder->facts.data_directory_mode, 0700U);
  EXPECT_EQ(open_served_folder(files_, options_.folder).error().code, ErrorCode::kInUse);
}

}  // namespace
}  // namespace standfast::witness
