#include "agent/membership_keeper.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "agent/tls_test_support.h"

namespace standfast::agent {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Secret;
using std::chrono::hours;
using std::chrono::minutes;
using testing::kCluster;
using testing::wall_clock;

/// The host with the authority, as another one reaches it.
class FakeLink final : public AuthorityLink {
 public:
  explicit FakeLink(Members& members) : members_(members) {}
  Result<SignedCertificate> renew(const OwnMembership& own, std::string request_pem) override {
    ++asked_to_renew;
    if (!is_up) return Error(ErrorCode::kConnect, "nobody is there");
    const Membership given = TRY(members_.renew(own.facts.serial, request_pem, now));
    return SignedCertificate{given.certificate_pem, given.ca_pem};
  }
  Result<std::string> revoked_list(const OwnMembership&) override {
    ++asked_for_list;
    if (!is_up) return Error(ErrorCode::kConnect, "nobody is there");
    return members_.revoked_list(now);
  }

  bool is_up = true;
  UnixSeconds now = wall_clock();
  int asked_to_renew = 0;
  int asked_for_list = 0;

 private:
  Members& members_;
};

class MembershipKeeperTest : public ::testing::Test {
 protected:
  static std::string make_folder() {
    char pattern[] = "/tmp/standfast-keeper-test-XXXXXX";
    return mkdtemp(pattern);
  }
  ~MembershipKeeperTest() override { static_cast<void>(env::remove_tree(disk_, folder_)); }

  client::SecretStore store(const std::string& host) const { return {disk_, folder_ + "/" + host}; }
  void join(const std::string& host, UnixSeconds now) {
    const Secret key = *make_key();
    const Secret secret = *members_.invite(host, now + hours(1), now);
    const auto membership = members_.admit(secret, *make_request(key), now);
    ASSERT_TRUE(membership) << membership.error().message;
    ASSERT_TRUE(MembershipFiles(store(host), kCluster).save(key, *membership));
  }
  Result<std::unique_ptr<MembershipKeeper>> open(const std::string& host, UnixSeconds now) {
    link_.now = now;
    return MembershipKeeper::open({.store = store(host),
                                   .system_id = kCluster,
                                   .link = link_,
                                   .note = [this](const std::string& line) { notes_ += line + "\n"; }},
                                  now);
  }
  void keep(MembershipKeeper& keeper, UnixSeconds now) {
    link_.now = now;
    keeper.keep(now);
  }
  static std::string serial(const MembershipKeeper& keeper) {
    return keeper.standing()->membership.facts.serial;
  }
  std::size_t notes_of(const std::string& text) const {
    std::size_t count = 0;
    for (auto at = notes_.find(text); at != std::string::npos; at = notes_.find(text, at + 1)) ++count;
    return count;
  }

  env::FileSystem& disk_ = env::posix_file_system();
  const std::string folder_ = make_folder();
  const UnixSeconds now_ = wall_clock();
  Members members_ = *Members::create(store("primary"), kCluster, now_ - hours(24 * 100), {});
  FakeLink link_{members_};
  std::string notes_;
};

TEST_F(MembershipKeeperTest, WhoIsNoMemberIsToldHowToBecomeOne) {
  const auto keeper = open("standby1", now_);
  ASSERT_FALSE(keeper);
  EXPECT_EQ(keeper.error().code, ErrorCode::kPrecondition);
  EXPECT_NE(keeper.error().hint.find("join"), std::string::npos);
}

TEST_F(MembershipKeeperTest, OnlyTheAuthoritysHostAdmitsStrangers) {
  join("primary", now_);
  join("standby1", now_);
  EXPECT_TRUE((*open("primary", now_))->standing()->has_authority);
  EXPECT_TRUE((*open("primary", now_))->members().has_value());
  EXPECT_FALSE((*open("standby1", now_))->standing()->has_authority);
  EXPECT_FALSE((*open("standby1", now_))->members().has_value());
}

TEST_F(MembershipKeeperTest, ACertificateIsRenewedFromItsTenthDayOnAndAnAbsentAuthorityIsAskedAgain) {
  join("standby1", now_);
  const auto keeper = *open("standby1", now_);
  const std::string first = serial(*keeper);
  const auto before = keeper->standing();
  keep(*keeper, now_ + hours(24 * 9));
  EXPECT_EQ(serial(*keeper), first);
  EXPECT_EQ(link_.asked_to_renew, 0);

  UnixSeconds day = now_ + hours(24 * 10);
  link_.is_up = false;
  keep(*keeper, day);
  keep(*keeper, day + minutes(1) - std::chrono::seconds(1));
  EXPECT_EQ(link_.asked_to_renew, 1);
  keep(*keeper, day + minutes(1));
  EXPECT_EQ(link_.asked_to_renew, 2);
  keep(*keeper, day + minutes(2));
  EXPECT_EQ(link_.asked_to_renew, 2);  // less and less often
  EXPECT_EQ(notes_of("is not renewed"), 1U);
  keeper->hurry();
  link_.is_up = true;
  keep(*keeper, day + minutes(2));
  EXPECT_NE(serial(*keeper), first);
  EXPECT_NE(keeper->standing()->context, before->context);
  EXPECT_EQ(MembershipFiles(store("standby1"), kCluster).read().value()->facts.serial, serial(*keeper));
}

TEST_F(MembershipKeeperTest, TheAuthoritysHostRenewsItsOwnAlsoWhereItHasExpired) {
  join("primary", now_);
  const auto keeper = *open("primary", now_);
  const std::string first = serial(*keeper);
  keep(*keeper, now_ + hours(24 * 11));
  EXPECT_NE(serial(*keeper), first);
  EXPECT_EQ(link_.asked_to_renew, 0);
  const auto later = open("primary", now_ + hours(24 * 60));
  ASSERT_TRUE(later) << later.error().message;
  EXPECT_GT((*later)->standing()->membership.facts.expires, now_ + hours(24 * 80));
}

TEST_F(MembershipKeeperTest, AnAuthoritysHostThatWasRemovedDoesNotLetItselfInAgain) {
  join("primary", now_);
  ASSERT_TRUE(members_.revoke("primary", now_));
  EXPECT_EQ(open("primary", now_ + hours(24 * 31)).error().code, ErrorCode::kAuthentication);
}

TEST_F(MembershipKeeperTest, ElsewhereAnExpiredCertificateEndsTheStart) {
  join("standby1", now_ - hours(24 * 31));
  EXPECT_EQ(open("standby1", now_).error().code, ErrorCode::kCertificate);
}

TEST_F(MembershipKeeperTest, WhoIsRemovedIsKnownEverywhereSoon) {
  join("primary", now_);
  join("standby1", now_);
  join("standby2", now_);
  const auto primary = *open("primary", now_);
  const auto standby = *open("standby1", now_);
  const std::string removed = MembershipFiles(store("standby2"), kCluster).read().value()->facts.serial;
  keep(*standby, now_);
  ASSERT_TRUE(members_.revoke("standby2", now_));
  keep(*primary, now_ + std::chrono::seconds(5));
  EXPECT_TRUE(primary->standing()->revoked_serials.contains(removed));
  keep(*standby, now_ + std::chrono::seconds(5));
  EXPECT_FALSE(standby->standing()->revoked_serials.contains(removed));
  keep(*standby, now_ + minutes(5));
  EXPECT_TRUE(standby->standing()->revoked_serials.contains(removed));
  // The same list again makes nothing new.
  const auto context = primary->standing()->context;
  keep(*primary, now_ + minutes(10));
  EXPECT_EQ(primary->standing()->context, context);
}

TEST_F(MembershipKeeperTest, AClockThatIsPutBackHoldsNothingUp) {
  join("standby1", now_);
  const auto keeper = *open("standby1", now_);
  keep(*keeper, now_ + hours(24));
  EXPECT_EQ(link_.asked_for_list, 1);
  keep(*keeper, now_);
  EXPECT_EQ(link_.asked_for_list, 2);
}

TEST_F(MembershipKeeperTest, WhatAnotherProcessWritesIsTakenUpAndWhatIsBrokenIsNot) {
  join("standby1", now_);
  const auto keeper = *open("standby1", now_);
  const std::string first = serial(*keeper);
  join("standby1", now_);
  keep(*keeper, now_);
  const std::string second = serial(*keeper);
  EXPECT_NE(second, first);
  ASSERT_TRUE(disk_.remove_file(MembershipFiles(store("standby1"), kCluster).folder() + "/key.pem"));
  keep(*keeper, now_ + std::chrono::seconds(5));
  keep(*keeper, now_ + std::chrono::seconds(10));
  EXPECT_EQ(serial(*keeper), second);
  EXPECT_EQ(notes_of("is not taken up"), 1U);
}

TEST_F(MembershipKeeperTest, WhoseOwnCertificateIsRevokedIsTold) {
  join("standby1", now_);
  const auto keeper = *open("standby1", now_);
  ASSERT_TRUE(members_.revoke("standby1", now_));
  keep(*keeper, now_ + minutes(5));
  keep(*keeper, now_ + minutes(10));
  EXPECT_EQ(notes_of("no member of the cluster any more"), 1U);
}

}  // namespace
}  // namespace standfast::agent
