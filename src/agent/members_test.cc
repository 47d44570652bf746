#include "agent/members.h"

#include <atomic>
#include <cstdlib>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "env/folder_lock.h"

namespace standfast::agent {
namespace {

using base::ErrorCode;
using base::Secret;
using std::chrono::hours;

constexpr UnixSeconds kNow{std::chrono::seconds(1'800'000'000)};
constexpr UnixSeconds kTomorrow = kNow + hours(24);

class MembersTest : public testing::Test {
 protected:
  MembersTest() {
    char pattern[] = "/tmp/standfast-members-test-XXXXXX";
    folder_ = mkdtemp(pattern);
  }
  ~MembersTest() override { static_cast<void>(env::remove_tree(files_, folder_)); }

  client::SecretStore store() const { return {files_, folder_ + "/store"}; }
  std::string path(std::string_view name) const { return store().path_of(id_, name); }
  base::Result<Members> create(const Members::Options& options = {}) const {
    return Members::create(store(), id_, kNow, options);
  }
  base::Result<Members> open() const { return Members::open(store(), id_, {}); }

  env::FileSystem& files_ = env::posix_file_system();
  std::string folder_;
  pg::SystemId id_{7000000000000000001U};
};

TEST_F(MembersTest, TheAuthorityIsMadeOnceAndLiesWhereNobodyElseReads) {
  EXPECT_EQ(open().error().code, ErrorCode::kPrecondition);
  EXPECT_FALSE(files_.inspect(folder_ + "/store")->has_value());  // looking makes nothing
  const auto made = create();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(create()->ca_pem(), made->ca_pem());
  EXPECT_EQ(open()->ca_pem(), made->ca_pem());
  EXPECT_EQ((*files_.inspect(path("ca/authority.pem")))->mode, 0600U);
  EXPECT_EQ((*files_.inspect(path("ca/members.json")))->mode, 0600U);
  EXPECT_EQ((*files_.inspect(env::parent_of(path("ca/members.json"))))->mode, 0700U);
  EXPECT_EQ(made->ca_pem().find("PRIVATE"), std::string::npos);
}

TEST_F(MembersTest, AMemberIsInvitedAdmittedRenewedAndRemoved) {
  auto members = *create();
  const Secret secret = *members.invite("standby1", kTomorrow, kNow);
  EXPECT_EQ(env::read_whole_file(files_, path("ca/members.json"), 100'000)->find(secret.reveal()),
            std::string::npos);
  const Secret key = *make_key();
  const auto first = members.admit(secret, *make_request(key), kNow);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->facts.member, (Member{id_, "standby1"}));
  EXPECT_EQ(first->ca_pem, members.ca_pem());
  EXPECT_EQ(members.admit(secret, *make_request(key), kNow).error().code, ErrorCode::kAuthentication);

  // Another process has the same register.
  auto others = *open();
  const auto second = others.renew(first->facts.serial, *make_request(key), kTomorrow);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->facts.expires, kTomorrow + kCertificateLife);
  EXPECT_FALSE(others.renew(first->facts.serial, *make_request(*make_key()), kTomorrow));
  ASSERT_EQ(members.list(kTomorrow)->size(), 1U);
  EXPECT_EQ(members.list(kTomorrow)->front().newest->serial, second->facts.serial);

  ASSERT_TRUE(members.revoke("standby1", kTomorrow));
  EXPECT_EQ(others.renew(second->facts.serial, *make_request(key), kTomorrow).error().code,
            ErrorCode::kAuthentication);
  const auto list = read_revoked_list(*others.revoked_list(kTomorrow), members.ca_pem());
  ASSERT_TRUE(list) << list.error().message;
  EXPECT_EQ(list->serials.size(), 2U);
  EXPECT_EQ(list->number, 2U);
}

TEST_F(MembersTest, ABadRequestLeavesTheSecretAsItWas) {
  auto members = *create();
  const Secret secret = *members.invite("standby1", kTomorrow, kNow);
  EXPECT_EQ(members.admit(secret, "no request", kNow).error().code, ErrorCode::kCertificate);
  EXPECT_EQ(members.admit(Secret("wrong"), "no request", kNow).error().code, ErrorCode::kAuthentication);
  EXPECT_TRUE(members.admit(secret, *make_request(*make_key()), kNow));
}

TEST_F(MembersTest, WhoHoldsTheLockKeepsOthersFromChanging) {
  auto members = *create();
  const auto lock = env::FolderLock::take(env::parent_of(path("ca/members.json")));
  ASSERT_TRUE(lock);
  auto impatient = *Members::open(store(), id_, {.lock_patience = base::Milliseconds(50)});
  EXPECT_EQ(impatient.invite("a", kTomorrow, kNow).error().code, ErrorCode::kInUse);
  EXPECT_TRUE(members.list(kNow));  // reading needs none
}

TEST_F(MembersTest, ChangesAtOnceAreAllKept) {
  constexpr int kThreads = 4;
  constexpr int kEach = 10;
  std::atomic<int> failed = 0;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        // One of them may wait for all that the others write, each time, on a disk that is slow.
        auto members = create({.lock_patience = base::Seconds(250)});
        for (int i = 0; members && i < kEach; ++i) {
          if (!members->invite(fmt::format("m-{}-{}", thread, i), kTomorrow, kNow)) ++failed;
        }
        if (!members) ++failed;
      });
    }
  }
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(open()->list(kNow)->size(), static_cast<std::size_t>(kThreads * kEach));
}

TEST_F(MembersTest, WithoutItsRegisterAnAuthoritySignsNothing) {
  auto members = *create();
  ASSERT_TRUE(files_.remove_file(path("ca/members.json")));
  EXPECT_EQ(members.invite("a", kTomorrow, kNow).error().code, ErrorCode::kPrecondition);
  EXPECT_EQ(create()->list(kNow).error().code, ErrorCode::kPrecondition);
}

TEST_F(MembersTest, FilesThatOthersMayReadAreRefused) {
  auto members = *create();
  ASSERT_TRUE(files_.set_mode(path("ca/authority.pem"), 0640));
  EXPECT_EQ(open().error().code, ErrorCode::kPermission);
  EXPECT_EQ(members.revoked_list(kNow).error().code, ErrorCode::kPermission);
}

TEST_F(MembersTest, ARegisterOfAnotherClusterIsRefused) {
  auto members = *create();
  const pg::SystemId other(7);
  ASSERT_TRUE(Members::create(store(), other, kNow, {}));
  ASSERT_TRUE(store().write(id_, "ca/members.json", **store().read(other, "ca/members.json")));
  EXPECT_EQ(members.list(kNow).error().code, ErrorCode::kPrecondition);
}

}  // namespace
}  // namespace standfast::agent
