#include "agent/membership_files.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "agent/tls_test_support.h"

namespace standfast::agent {
namespace {

using base::ErrorCode;
using base::Secret;
using testing::Cluster;
using testing::kCluster;
using testing::wall_clock;

class MembershipFilesTest : public ::testing::Test {
 protected:
  MembershipFilesTest() {
    char pattern[] = "/tmp/standfast-membership-test-XXXXXX";
    folder_ = mkdtemp(pattern);
  }
  ~MembershipFilesTest() override { static_cast<void>(env::remove_tree(disk_, folder_)); }

  MembershipFiles files(pg::SystemId id = kCluster) const {
    return {client::SecretStore(disk_, folder_ + "/store"), id};
  }
  std::string path(const std::string& name) const { return files().folder() + "/" + name; }
  Membership sign(const Secret& key, const Cluster& by, UnixSeconds now = wall_clock()) const {
    const auto request = check_request(*make_request(key));
    auto made = *sign_member(by.authority, *request, {by.system_id, "standby1"}, now);
    return {made.certificate_pem, by.authority.certificate_pem, made.facts};
  }
  std::string list(std::uint64_t number) const {
    return *sign_revoked_list(cluster_.authority, {.number = number, .made = wall_clock(), .serials = {}});
  }
  std::string revoked() const { return (*files().read())->trust.revoked_list_pem; }

  env::FileSystem& disk_ = env::posix_file_system();
  std::string folder_;
  Cluster cluster_;
  Secret key_ = *make_key();
};

TEST_F(MembershipFilesTest, WhatIsSavedIsReadAndLiesWhereNobodyElseReads) {
  ASSERT_TRUE(files().read());
  EXPECT_FALSE(files().read()->has_value());
  EXPECT_FALSE(disk_.inspect(folder_ + "/store")->has_value());  // looking makes nothing
  const Membership membership = sign(key_, cluster_);
  ASSERT_TRUE(files().save(key_, membership));
  const auto read = files().read();
  ASSERT_TRUE(read && *read) << read.error().message;
  EXPECT_EQ((*read)->own.certificate_pem, membership.certificate_pem);
  EXPECT_EQ((*read)->own.key_pem, key_);
  EXPECT_EQ((*read)->trust.ca_pem, membership.ca_pem);
  EXPECT_EQ((*read)->facts.member.name, "standby1");
  for (const char* name : {"key.pem", "certificate.pem", "ca.pem"}) {
    EXPECT_EQ((*disk_.inspect(path(name)))->mode, 0600U) << name;
  }
  EXPECT_EQ((*disk_.inspect(files().folder()))->mode, 0700U);
}

TEST_F(MembershipFilesTest, WhatDoesNotFitTogetherIsNotSaved) {
  EXPECT_EQ(files().save(*make_key(), sign(key_, cluster_)).error().code, ErrorCode::kCertificate);
  EXPECT_EQ(files(pg::SystemId(7)).save(key_, sign(key_, cluster_)).error().code, ErrorCode::kCertificate);
  EXPECT_FALSE(disk_.inspect(folder_ + "/store")->has_value());
}

TEST_F(MembershipFilesTest, WhatWasWrittenInPartIsNone) {
  ASSERT_TRUE(files().save(key_, sign(key_, cluster_)));
  ASSERT_TRUE(disk_.remove_file(path("certificate.pem")));
  ASSERT_TRUE(files().read());
  EXPECT_FALSE(files().read()->has_value());
}

TEST_F(MembershipFilesTest, AMissingOrForeignKeyIsNamed) {
  ASSERT_TRUE(files().save(key_, sign(key_, cluster_)));
  ASSERT_TRUE(client::SecretStore(disk_, folder_ + "/store").write(kCluster, "member/key.pem", *make_key()));
  EXPECT_EQ(files().read().error().code, ErrorCode::kCertificate);
  ASSERT_TRUE(disk_.remove_file(path("key.pem")));
  EXPECT_EQ(files().read().error().code, ErrorCode::kCertificate);
}

TEST_F(MembershipFilesTest, AKeyThatOthersMayReadIsRefused) {
  ASSERT_TRUE(files().save(key_, sign(key_, cluster_)));
  ASSERT_TRUE(disk_.set_mode(path("key.pem"), 0640));
  EXPECT_EQ(files().read().error().code, ErrorCode::kPermission);
}

TEST_F(MembershipFilesTest, OnlyACertificateForTheKeyThatIsThereReplacesTheOther) {
  EXPECT_FALSE(files().replace_certificate(sign(key_, cluster_)));
  ASSERT_TRUE(files().save(key_, sign(key_, cluster_)));
  const Membership next = sign(key_, cluster_, wall_clock() + std::chrono::hours(1));
  ASSERT_TRUE(files().replace_certificate(next));
  EXPECT_EQ((*files().read())->facts.serial, next.facts.serial);
  EXPECT_EQ(files().replace_certificate(sign(*make_key(), cluster_)).error().code, ErrorCode::kCertificate);
  EXPECT_EQ(files().replace_certificate(sign(key_, Cluster())).error().code, ErrorCode::kCertificate);
  EXPECT_EQ((*files().read())->facts.serial, next.facts.serial);
}

TEST_F(MembershipFilesTest, OnlyANewerListOfTheSameAuthorityTakesAnOthersPlace) {
  EXPECT_FALSE(files().replace_revoked(list(1)));
  ASSERT_TRUE(files().save(key_, sign(key_, cluster_)));
  EXPECT_EQ(revoked(), "");
  const std::string second = list(2);
  ASSERT_TRUE(files().replace_revoked(second));
  EXPECT_EQ(revoked(), second);
  ASSERT_TRUE(files().replace_revoked(list(1)));
  EXPECT_EQ(revoked(), second);
  const std::string foreign =
      *sign_revoked_list(Cluster().authority, {.number = 9, .made = wall_clock(), .serials = {}});
  EXPECT_EQ(files().replace_revoked(foreign).error().code, ErrorCode::kCertificate);
  EXPECT_EQ(revoked(), second);
}

TEST_F(MembershipFilesTest, BeginningAnewKeepsTheListOfTheSameAuthorityAlone) {
  ASSERT_TRUE(files().save(key_, sign(key_, cluster_)));
  ASSERT_TRUE(files().replace_revoked(list(2)));
  const Secret other_key = *make_key();
  ASSERT_TRUE(files().save(other_key, sign(other_key, cluster_)));
  EXPECT_NE(revoked(), "");
  ASSERT_TRUE(files().save(key_, sign(key_, Cluster())));
  EXPECT_EQ(revoked(), "");
}

TEST_F(MembershipFilesTest, PlacesAreKept) {
  EXPECT_TRUE(files().read_places()->listen.empty());
  const AgentPlaces places{.listen = {{"10.0.0.2", 7432}, {"fd00::2", 7433}},
                           .authority = {{"primary", 7432}}};
  ASSERT_TRUE(files().save_places(places));
  const auto read = files().read_places();
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->listen.size(), 2U);
  EXPECT_EQ(read->listen[1].host, "fd00::2");
  EXPECT_EQ(read->listen[1].port, 7433);
  ASSERT_EQ(read->authority.size(), 1U);
  EXPECT_EQ(read->authority[0].host, "primary");
}

TEST(AgentPlaces, WhatIsNoneIsRefused) {
  const std::string whole = text_of(AgentPlaces{.listen = {{"10.0.0.2", 7432}}});
  EXPECT_EQ(text_of(*parse_agent_places(whole)), whole);
  for (const char* bad :
       {"", "[]", "{}", R"({"format":1})", R"({"format":1,"listen":["a:b:c]"],"authority":[]})",
        R"({"format":1,"listen":[7],"authority":[]})", R"({"format":1,"listen":{},"authority":[]})"}) {
    const auto parsed = parse_agent_places(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code, ErrorCode::kProtocol) << bad;
  }
  EXPECT_EQ(parse_agent_places(R"({"format":2,"listen":[],"authority":[]})").error().code,
            ErrorCode::kVersion);
}

}  // namespace
}  // namespace standfast::agent
