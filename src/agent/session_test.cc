#include "agent/session.h"

#include <algorithm>
#include <csignal>

#include <gtest/gtest.h>

#include "agent/range_packing.h"
#include "agent/session_test_support.h"
#include "base/hash128.h"
#include "env/file_system.h"

namespace standfast::agent {
namespace {

using namespace testing;
using base::ErrorCode;
using base::Milliseconds;
using base::Seconds;

const Request kHello = Hello{.system_id = kCluster};
const Request kBegin = BeginBackup{.label = "a copy", .checkpoint = Checkpoint::kFast};

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() { signal(SIGPIPE, SIG_IGN); }
  /// A connection of a member that has said Hello.
  std::unique_ptr<Connected> member(const MemberContext& context, const SessionPatience& patience = {}) {
    auto connected = std::make_unique<Connected>(host_, context, patience);
    EXPECT_EQ(connected->get<Welcome>(kHello).version, kProtocolVersion);
    return connected;
  }
  std::unique_ptr<Connected> attached(const BackupId& id, const SessionPatience& patience = {}) {
    auto connected = member(*standby1_, patience);
    connected->get<Attached>(AttachBackup{id});
    return connected;
  }
  std::shared_ptr<const MemberContext> stranger() const {
    return *MemberContext::for_joining(kCluster, *fingerprint_of(cluster_.authority.certificate_pem));
  }
  static std::vector<FileEntry> list(Connected& connected) {
    std::vector<FileEntry> entries;
    auto answer = connected.get<FileEntries>(ListFiles{});
    while (true) {
      entries.insert(entries.end(), answer.entries.begin(), answer.entries.end());
      if (answer.is_last || answer.entries.empty()) return entries;
      const auto next = connected.receive();
      if (!next || !std::holds_alternative<FileEntries>(*next)) break;
      answer = std::get<FileEntries>(*next);
    }
    ADD_FAILURE() << "the list breaks off";
    return entries;
  }
  static std::uint32_t number_of(const std::vector<FileEntry>& entries, const std::string& path) {
    for (const FileEntry& entry : entries)
      if (entry.path == path) return entry.number;
    ADD_FAILURE() << path << " is not listed";
    return 0;
  }
  static bool has(const std::vector<FileEntry>& entries, const std::string& part) {
    return std::any_of(entries.begin(), entries.end(),
                       [&](const FileEntry& entry) { return entry.path.find(part) != std::string::npos; });
  }

  const Cluster cluster_{};
  const Credentials own1_ = cluster_.give("standby1");
  const std::shared_ptr<const MemberContext> standby1_ = cluster_.client(own1_);
  const std::shared_ptr<const MemberContext> standby2_ = cluster_.client(cluster_.give("standby2"));
  DataDirectory data_;
  FakeServer server_;
  Backups backups_{{.begin_bracket = server_.factory(), .tree = data_.options(), .max_backups = 2}};
  TestHost host_{cluster_.server(cluster_.give("primary"), Strangers::kAdmitted), backups_};
};

TEST_F(SessionTest, TheWholeLifeOfABackupByTwoConnections) {
  const std::string content = DataDirectory::content();
  const auto owner = member(*standby1_);
  const auto begun = owner->get<BackupBegun>(kBegin);
  EXPECT_EQ(begun.start, pg::Lsn(0x3000028));
  const auto fetcher = attached(begun.id);
  const auto entries = list(*owner);
  EXPECT_EQ(entries, list(*fetcher));
  EXPECT_EQ(entries.back().path, "global/pg_control");
  const std::uint32_t file = number_of(entries, "base/5/112");

  RangeUnpacker unpacker;
  for (const auto compression : {Compression::kNone, Compression::kLz4, Compression::kZstd}) {
    const ReadRange asked{
        .file = file, .offset = 100, .length_bytes = kMaxRangeBytes, .compression = compression};
    const auto range = fetcher->get<RangeBytes>(asked);
    EXPECT_TRUE(check_fits(asked, range));
    EXPECT_EQ(range.compression, compression);
    std::vector<std::byte> into(kMaxRangeBytes);
    const auto plain = unpacker.unpack(range, into);
    ASSERT_TRUE(plain) << plain.error().message;
    EXPECT_TRUE(base::as_text(*plain) == std::string_view(content).substr(100));
  }
  const HashRange hash{.file = file, .offset = 0, .length_bytes = 1U << 20U, .run_bytes = 1U << 17U};
  const auto hashes = owner->get<RangeHashes>(hash);
  EXPECT_EQ(hashes.covered_bytes, content.size());
  ASSERT_EQ(hashes.hashes.size(), 2U);
  EXPECT_EQ(hashes.hashes[1], base::hash128(base::as_bytes(content).subspan(1U << 17U)));

  EXPECT_EQ(owner->get<SlotState>(LookAtSlot{"mine"}).held_bytes, 77U);
  EXPECT_EQ(owner->get<SlotState>(LookAtSlot{"none"}).standing, SlotStanding::kMissing);
  const auto ended = owner->get<BackupEnded>(EndBackup{});
  EXPECT_EQ(ended.label_file, "START WAL LOCATION\n");
  EXPECT_EQ(fetcher->refusal(ReadRange{.file = file, .length_bytes = 1}).code, ErrorCode::kPrecondition);
  EXPECT_EQ(fetcher->refusal(ListFiles{}).code, ErrorCode::kPrecondition);
  EXPECT_EQ(server_.open, 0);
  EXPECT_EQ(server_.ended, 1);
  owner->get<BackupBegun>(kBegin);  // and another
}

TEST_F(SessionTest, WelcomeSaysWhatTheServerIs) {
  Connected connected(host_, *standby1_);
  const auto welcome = connected.get<Welcome>(kHello);
  EXPECT_EQ(welcome.segment_blocks, 131072U);
  EXPECT_TRUE(welcome.has_page_checksums);
  EXPECT_EQ(connected.get<RevokedCertificates>(ListRevoked{}).list_pem, "the list");
}

TEST_F(SessionTest, AnotherVersionOrClusterIsRefusedAndClosed) {
  Connected version(host_, *standby1_);
  EXPECT_EQ(version.refusal(Hello{kProtocolVersion + 1, kCluster}).code, ErrorCode::kVersion);
  EXPECT_TRUE(version.closes());
  Connected other(host_, *standby1_);
  EXPECT_EQ(other.refusal(Hello{.system_id = pg::SystemId(5)}).code, ErrorCode::kPrecondition);
  EXPECT_TRUE(other.closes());
}

TEST_F(SessionTest, RequestsBeforeTheirTimeEndTheConnection) {
  for (const Request& request : std::vector<Request>{
           SignRequest{base::Secret("s"), "r"}, RenewRequest{"r"}, kBegin, AttachBackup{}, ListFiles{},
           ReadRange{.length_bytes = 1}, HashRange{.length_bytes = 1, .run_bytes = kMinRunBytes}, EndBackup{},
           ListRevoked{}, LookAtSlot{"mine"}}) {
    Connected connected(host_, *standby1_);
    EXPECT_EQ(connected.refusal(request).code, ErrorCode::kProtocol) << request.index();
    EXPECT_TRUE(connected.closes()) << request.index();
  }
  for (const Request& request : std::vector<Request>{
           kHello, SignRequest{base::Secret("s"), "r"}, ListFiles{}, ReadRange{.length_bytes = 1},
           HashRange{.length_bytes = 1, .run_bytes = kMinRunBytes}, EndBackup{}, LookAtSlot{"mine"}}) {
    const auto connected = member(*standby1_);
    EXPECT_EQ(connected->refusal(request).code, ErrorCode::kProtocol) << request.index();
    EXPECT_TRUE(connected->closes()) << request.index();
  }
  EXPECT_EQ(server_.beginning, 0);
}

TEST_F(SessionTest, OneBackupForAConnectionAndItsEndForTheOneThatBegan) {
  const auto owner = member(*standby1_);
  const auto begun = owner->get<BackupBegun>(kBegin);
  const auto fetcher = attached(begun.id);
  EXPECT_EQ(fetcher->refusal(EndBackup{}).code, ErrorCode::kProtocol);
  EXPECT_TRUE(fetcher->closes());
  list(*owner);  // which that did nothing to
  EXPECT_EQ(owner->refusal(AttachBackup{begun.id}).code, ErrorCode::kProtocol);
  EXPECT_TRUE(owner->closes());
  EXPECT_EQ(server_.open, 0);
}

TEST_F(SessionTest, AStrangerSeesNothing) {
  const auto joining = stranger();
  for (const Request& request :
       std::vector<Request>{kBegin, AttachBackup{}, ListFiles{}, ListRevoked{}, RenewRequest{"r"}}) {
    Connected connected(host_, *joining);
    // The least that a Welcome may have.
    EXPECT_EQ(connected.get<Welcome>(kHello),
              (Welcome{.block_bytes = 1024, .segment_blocks = 1, .wal_segment_bytes = 1U << 20U}));
    EXPECT_EQ(connected.refusal(request).code, ErrorCode::kProtocol) << request.index();
    EXPECT_TRUE(connected.closes()) << request.index();
  }
  EXPECT_EQ(server_.beginning, 0);
}

TEST_F(SessionTest, WithoutAnAuthorityNothingIsSigned) {
  Connected connected(host_, *stranger());
  connected.get<Welcome>(kHello);
  const Refused refused = connected.refusal(SignRequest{base::Secret("s"), "r"});
  EXPECT_EQ(refused.code, ErrorCode::kPrecondition);
  EXPECT_NE(refused.hint.find("primary setup"), std::string::npos);
  EXPECT_TRUE(connected.closes());
  const auto renewing = member(*standby1_);
  EXPECT_EQ(renewing->refusal(RenewRequest{"r"}).code, ErrorCode::kPrecondition);
  EXPECT_EQ(renewing->refusal(RenewRequest{"r"}).code, ErrorCode::kPrecondition);  // it goes on
}

TEST_F(SessionTest, AStrangerBecomesAMemberOnce) {
  const client::SecretStore store(env::posix_file_system(), data_.at("store"));
  host_.authority = *Members::create(store, kCluster, wall_clock(), {});
  const base::Secret secret =
      *host_.authority->invite("standby3", wall_clock() + std::chrono::hours(1), wall_clock());
  const base::Secret key = *make_key();
  const SignRequest request{secret, *make_request(key)};
  Connected first(host_, *stranger());
  first.get<Welcome>(kHello);
  const auto certificate = first.get<SignedCertificate>(request);
  EXPECT_EQ(read_certificate(certificate.certificate_pem)->member.name, "standby3");
  EXPECT_EQ(certificate.ca_pem, host_.authority->ca_pem());
  EXPECT_TRUE(first.closes());
  Connected again(host_, *stranger());
  again.get<Welcome>(kHello);
  EXPECT_EQ(again.refusal(request).code, ErrorCode::kAuthentication);
  EXPECT_TRUE(again.closes());
  EXPECT_EQ(host_.lines().find(secret.reveal()), std::string::npos);
}

TEST_F(SessionTest, AnotherMembersBackupIsNone) {
  const auto owner = member(*standby1_);
  const auto begun = owner->get<BackupBegun>(kBegin);
  const auto other = member(*standby2_);
  const Refused refused = other->refusal(AttachBackup{begun.id});
  EXPECT_EQ(refused.code, ErrorCode::kPrecondition);
  EXPECT_EQ(refused, other->refusal(AttachBackup{{1, 2}}));
  other->get<BackupBegun>(kBegin);  // its own it may have
}

TEST_F(SessionTest, WithTheOwnersConnectionTheBackupEndsForAll) {
  auto owner = member(*standby1_);
  const auto fetcher = attached(owner->get<BackupBegun>(kBegin).id);
  const std::uint32_t file = number_of(list(*fetcher), "base/5/112");
  fetcher->get<RangeBytes>(ReadRange{.file = file, .length_bytes = 1000});
  owner->send(ListFiles{});
  owner->close();
  ASSERT_TRUE(comes_true([&] { return backups_.count() == 0; }));
  EXPECT_EQ(server_.open, 0);
  EXPECT_EQ(server_.ended, 0);
  EXPECT_EQ(fetcher->refusal(ReadRange{.file = file, .length_bytes = 1000}).code, ErrorCode::kPrecondition);
}

TEST_F(SessionTest, TheServersEndOfABackupIsNoticed) {
  const SessionPatience patience{.between_checks = Milliseconds(10)};
  const auto owner = member(*standby1_, patience);
  const auto fetcher = attached(owner->get<BackupBegun>(kBegin).id);
  server_.is_up = false;
  ASSERT_TRUE(comes_true([&] { return server_.open == 0; }));
  EXPECT_EQ(fetcher->refusal(ListFiles{}).code, ErrorCode::kPrecondition);
  EXPECT_EQ(owner->refusal(ListFiles{}).code, ErrorCode::kPrecondition);
  EXPECT_EQ(owner->refusal(EndBackup{}).code, ErrorCode::kConnect);
  EXPECT_EQ(owner->refusal(kBegin).code, ErrorCode::kConnect);
  EXPECT_NE(host_.lines().find("the server has ended the backup"), std::string::npos);
}

TEST_F(SessionTest, NoPathIsTakenFromAClient) {
  const auto owner = member(*standby1_);
  owner->get<BackupBegun>(kBegin);
  const auto entries = list(*owner);
  for (const char* name : {"postmaster.pid", "000000010000000000000003", "keys/"})
    EXPECT_FALSE(has(entries, name)) << name;
  // It has numbers, and of those only the list's.
  for (const std::uint32_t number : {static_cast<std::uint32_t>(entries.size()), ~0U}) {
    EXPECT_EQ(owner->refusal(ReadRange{.file = number, .length_bytes = 1}).code, ErrorCode::kProtocol);
    EXPECT_EQ(owner->refusal(HashRange{.file = number, .length_bytes = 1, .run_bytes = kMinRunBytes}).code,
              ErrorCode::kProtocol);
  }
  // A listed name that has become a way out of the folder leads nowhere.
  const std::uint32_t file = number_of(entries, "base/5/112");
  std::filesystem::remove(data_.at("data/base/5/112"));
  EXPECT_TRUE(owner->get<RangeBytes>(ReadRange{.file = file, .length_bytes = 1}).is_gone);
  std::filesystem::create_symlink("../../keys/member.pem", data_.at("data/base/5/112"));
  EXPECT_EQ(owner->refusal(ReadRange{.file = file, .length_bytes = 100}).code, ErrorCode::kIo);
  EXPECT_EQ(list(*owner), entries);  // and it goes on
}

TEST_F(SessionTest, ALongListComesInParts) {
  for (std::size_t i = 0; i < 2 * kMaxEntriesInAnswer; ++i) data_.put("data/base/6/" + std::to_string(i), "");
  const auto owner = member(*standby1_);
  owner->get<BackupBegun>(kBegin);
  const auto entries = list(*owner);
  EXPECT_GT(entries.size(), 2 * kMaxEntriesInAnswer);
  for (std::size_t i = 0; i < entries.size(); ++i) EXPECT_EQ(entries[i].number, i);
}

TEST_F(SessionTest, RequestsThatComeTogetherAreAnsweredInTheirOrder) {
  const auto owner = member(*standby1_);
  owner->get<BackupBegun>(kBegin);
  const std::uint32_t file = number_of(list(*owner), "base/5/112");
  std::string together;
  for (std::uint32_t i = 1; i <= 2000; ++i) {
    together += encode(Request(ReadRange{.file = file, .length_bytes = i % 7 + 1}));
  }
  ASSERT_TRUE(owner->channel().write_all(base::as_bytes(together), soon()));
  for (std::uint32_t i = 1; i <= 2000; ++i) {
    const auto answer = owner->receive();
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(std::get<RangeBytes>(*answer).plain_bytes, i % 7 + 1);
  }
}

TEST_F(SessionTest, WhoDoesNotReadIsLeft) {
  const SessionPatience patience{.answer = Milliseconds(100)};
  const auto owner = member(*standby1_, patience);
  owner->get<BackupBegun>(kBegin);
  for (int i = 0; i < 1000; ++i) {
    if (!owner->send(ReadRange{.file = 0, .length_bytes = 1})) break;
    if (!owner->send(ListFiles{})) break;
    if (!owner->send(HashRange{.file = 0, .length_bytes = 1, .run_bytes = kMinRunBytes})) break;
  }
  EXPECT_TRUE(owner->has_ended());
  EXPECT_NE(host_.lines().find("does not read"), std::string::npos) << host_.lines();
  EXPECT_EQ(server_.open, 0);
}

TEST_F(SessionTest, AMessageThatStopsInTheMiddleEndsTheConnection) {
  const auto connected = member(*standby1_, {.message = Milliseconds(50)});
  const std::string message = encode(kBegin);
  ASSERT_TRUE(connected->channel().write_all(base::as_bytes(message).first(7), soon()));
  const auto answer = connected->receive();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(std::get<Refused>(*answer).code, ErrorCode::kTimeout);
  EXPECT_TRUE(connected->closes());
  const auto cut = member(*standby1_);
  ASSERT_TRUE(cut->channel().write_all(base::as_bytes(message).first(7), soon()));
  cut->close();
  EXPECT_TRUE(cut->has_ended());
  EXPECT_NE(host_.lines().find("in the middle of a message"), std::string::npos);
  EXPECT_EQ(server_.beginning, 0);
}

TEST_F(SessionTest, WhoSaysNothingIsLeft) {
  const auto is_left = [](Connected& connected) {
    const auto answer = connected.receive();
    return answer && std::get<Refused>(*answer).code == ErrorCode::kTimeout && connected.closes();
  };
  Connected without_hello(host_, *standby1_, {.hello = Milliseconds(50)});
  EXPECT_TRUE(is_left(without_hello));
  EXPECT_TRUE(is_left(*member(*standby1_, {.silence = Milliseconds(50)})));
  const auto owner = member(*standby1_, {.silence_in_backup = Milliseconds(50)});
  owner->get<BackupBegun>(kBegin);
  EXPECT_TRUE(is_left(*owner));
  EXPECT_EQ(server_.open, 0);
}

TEST_F(SessionTest, WhoHoldsABackupMayBeSilentWhileOthersWork) {
  // Long enough that a machine which stands still for some seconds does not pass for a silent client.
  const SessionPatience patience{.silence_in_backup = Seconds(6), .between_checks = Milliseconds(20)};
  const auto owner = member(*standby1_, patience);
  const auto fetcher = attached(owner->get<BackupBegun>(kBegin).id);
  const base::Stopwatch watch;
  while (watch.elapsed() < Seconds(9)) {
    fetcher->get<RangeBytes>(ReadRange{.file = number_of(list(*fetcher), "base/5/112"), .length_bytes = 1});
  }
  owner->get<BackupEnded>(EndBackup{});
}

TEST_F(SessionTest, OnlyMembersCountAndOneMoreThanMayIsRefused) {
  const auto served = member(*standby1_);
  Connected strange(host_, *stranger());
  strange.get<Welcome>(kHello);
  EXPECT_EQ(host_.admitted, 1);
  host_.has_room = false;
  Connected late(host_, *standby2_);
  const auto answer = late.receive();
  ASSERT_TRUE(answer) << answer.error().message;
  // What a copy tries again after.
  EXPECT_EQ(std::get<Refused>(*answer).code, ErrorCode::kConnect);
  EXPECT_NE(std::get<Refused>(*answer).hint.find("max_connections"), std::string::npos);
  EXPECT_TRUE(late.closes());
  EXPECT_NE(host_.lines().find("as many connections as it may"), std::string::npos);
}

TEST(BackupStart, TheStatisticsFolderIsToldRelativeToTheDataDirectory) {
  EXPECT_EQ(stats_temp_folder_of("pg_stat_tmp", "/srv/main"), "pg_stat_tmp");
  EXPECT_EQ(stats_temp_folder_of("./a/b/", "/srv/main"), "a/b");
  EXPECT_EQ(stats_temp_folder_of("/srv/main/stats", "/srv/main"), "stats");
  EXPECT_EQ(stats_temp_folder_of("/srv/main2/stats", "/srv/main"), "");
  EXPECT_EQ(stats_temp_folder_of("/run/postgresql/15", "/srv/main"), "");
}

TEST_F(SessionTest, AHandshakeHeldOpenEnds) {
  const auto fds = Ends::make();
  const auto session =
      *Session::open(host_, {.fd = fds[0], .peer = "a:1", .patience = {.handshake = Milliseconds(50)}});
  session->run();
  close(fds[1]);
  EXPECT_NE(host_.lines().find("a:1: "), std::string::npos);
}

TEST_F(SessionTest, ACertificateThatCountsNoMoreEndsTheConnection) {
  const SessionPatience patience{.between_checks = Milliseconds(10)};
  const auto owner = member(*standby1_, patience);
  owner->get<BackupBegun>(kBegin);
  const auto other = member(*standby2_, patience);
  host_.revoke(read_certificate(own1_.certificate_pem)->serial);
  const auto answer = owner->receive();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(std::get<Refused>(*answer).code, ErrorCode::kCertificate);
  EXPECT_TRUE(owner->closes());
  EXPECT_EQ(server_.open, 0);
  other->get<RevokedCertificates>(ListRevoked{});
  host_.ahead = std::chrono::hours(24 * 31);
  EXPECT_EQ(std::get<Refused>(*other->receive()).message, "the certificate of this connection has expired");
  EXPECT_TRUE(other->closes());
}

TEST_F(SessionTest, EndsWhenItIsToldTo) {
  const auto idle = member(*standby1_);
  idle->session().stop();
  EXPECT_TRUE(idle->has_ended());
  const auto owner = member(*standby1_);
  owner->get<BackupBegun>(kBegin);
  owner->session().drop();
  EXPECT_TRUE(owner->has_ended());
  EXPECT_EQ(server_.open, 0);
  EXPECT_EQ(owner->session().peer_address(), "10.0.0.2");
  server_.is_slow = true;
  const auto beginning = member(*standby1_);
  beginning->send(kBegin);
  ASSERT_TRUE(comes_true([&] { return server_.beginning == 2; }));
  beginning->session().stop();
  EXPECT_TRUE(beginning->has_ended());
  EXPECT_EQ(backups_.count(), 0U);
}

TEST_F(SessionTest, AClientThatGoesWhileItsBackupBeginsIsNoticed) {
  server_.is_slow = true;
  const auto connected = member(*standby1_);
  connected->send(kBegin);
  ASSERT_TRUE(comes_true([&] { return server_.beginning == 1; }));
  connected->close();
  EXPECT_TRUE(connected->has_ended());
  EXPECT_EQ(backups_.count(), 0U);
}

}  // namespace
}  // namespace standfast::agent
