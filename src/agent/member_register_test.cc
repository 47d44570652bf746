#include "agent/member_register.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace standfast::agent {
namespace {

using base::ErrorCode;
using base::Secret;
using std::chrono::hours;
using Standing = MemberState::Standing;

constexpr UnixSeconds kNow{std::chrono::seconds(1'800'000'000)};
constexpr auto kDay = hours(24);
const Secret kSecret("secret-of-a-token");

std::string digits(int number, int width) {
  return fmt::format("{:0{}x}", number, width);
}

GivenCertificate given(const std::string& name, int number, UnixSeconds issued = kNow) {
  return {.name = name,
          .serial = digits(number, 32),
          .key_sha256 = digits(1, 64),
          .issued = issued,
          .expires = issued + 30 * kDay};
}

Register with_invitation() {
  Register members{.system_id = pg::SystemId(7)};
  EXPECT_TRUE(invite(members, {"standby1", hash_of_secret(kSecret), kNow + kDay}, kNow));
  return members;
}

Register with_member() {
  Register members = with_invitation();
  EXPECT_TRUE(record_admission(members, given("standby1", 1), kNow));
  return members;
}

ErrorCode code_of(const base::Result<std::string>& result) {
  return result ? ErrorCode::kUsage : result.error().code;
}

TEST(Register, TextIsReadAsItWasWritten) {
  Register members = with_member();
  ASSERT_TRUE(invite(members, {"standby2", hash_of_secret(Secret("x")), kNow + kDay}, kNow));
  ASSERT_TRUE(revoke(members, "standby1", kNow));
  const auto read = parse_register(text_of(members));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, members);
  EXPECT_EQ(text_of(members).find(kSecret.reveal()), std::string::npos);
}

TEST(Register, TextThatIsNoneIsRefused) {
  const std::string good = text_of(with_member());
  const auto changed = [&good](std::string_view from, std::string_view to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  ASSERT_TRUE(parse_register(good));
  for (const std::string& text :
       {std::string(), std::string("[]"), good.substr(0, good.size() / 2), changed("\"7\"", "\"seven\""),
        changed("standby1", "../etc"), changed("serial", "cereal"), changed(digits(1, 32), digits(1, 31)),
        changed("list_number\": 1", "list_number\": -1"),
        changed("\"invitations\": []", "\"invitations\": 3"),
        changed("list_number\": 1", "list_number\": 18446744073709551615"),
        changed("\"expires\": 1", "\"expires\": 99999")}) {
    const auto read = parse_register(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, ErrorCode::kProtocol);
  }
  EXPECT_EQ(parse_register(changed("format\": 1", "format\": 2")).error().code, ErrorCode::kVersion);
}

TEST(Register, ASecretAdmitsOnceAndInTime) {
  Register members = with_invitation();
  EXPECT_EQ(*find_invited(members, kSecret, kNow), "standby1");
  EXPECT_EQ(code_of(find_invited(members, kSecret, kNow + kDay)), ErrorCode::kAuthentication);
  EXPECT_EQ(code_of(find_invited(members, Secret("other"), kNow)), ErrorCode::kAuthentication);
  EXPECT_EQ(code_of(find_invited(members, Secret(), kNow)), ErrorCode::kAuthentication);
  // The hash that lies on the disk is not the secret.
  EXPECT_EQ(code_of(find_invited(members, Secret(hash_of_secret(kSecret)), kNow)),
            ErrorCode::kAuthentication);
  ASSERT_TRUE(record_admission(members, given("standby1", 1), kNow));
  EXPECT_EQ(code_of(find_invited(members, kSecret, kNow)), ErrorCode::kAuthentication);
}

TEST(Register, ALaterInvitationTakesThePlaceOfAnEarlierOne) {
  Register members = with_invitation();
  const Secret later("later");
  ASSERT_TRUE(invite(members, {"standby1", hash_of_secret(later), kNow + kDay}, kNow));
  EXPECT_FALSE(find_invited(members, kSecret, kNow));
  EXPECT_TRUE(find_invited(members, later, kNow));
  EXPECT_EQ(invite(members, {"a/b", hash_of_secret(later), kNow}, kNow).error().code, ErrorCode::kUsage);
}

TEST(Register, AMemberThatBeginsAnewLosesWhatItHad) {
  Register members = with_member();
  ASSERT_TRUE(invite(members, {"standby1", hash_of_secret(kSecret), kNow + kDay}, kNow));
  ASSERT_TRUE(record_admission(members, given("standby1", 2), kNow));
  EXPECT_EQ(members.list_number, 2U);
  EXPECT_EQ(revoked_of(members, kNow).serials, (std::vector<RevokedSerial>{{digits(1, 32), kNow}}));
  EXPECT_FALSE(find_renewing(members, digits(1, 32), digits(1, 64), kNow));
  EXPECT_TRUE(find_renewing(members, digits(2, 32), digits(1, 64), kNow));
}

TEST(Register, RenewsForAMemberAndItsKey) {
  Register members = with_member();
  EXPECT_EQ(*find_renewing(members, digits(1, 32), digits(1, 64), kNow), "standby1");
  EXPECT_EQ(code_of(find_renewing(members, digits(1, 32), digits(2, 64), kNow)), ErrorCode::kAuthentication);
  EXPECT_EQ(code_of(find_renewing(members, digits(9, 32), digits(1, 64), kNow)), ErrorCode::kAuthentication);
  EXPECT_EQ(code_of(find_renewing(members, digits(1, 32), digits(1, 64), kNow + 30 * kDay)),
            ErrorCode::kAuthentication);
  ASSERT_TRUE(revoke(members, "standby1", kNow));
  EXPECT_EQ(code_of(find_renewing(members, digits(1, 32), digits(1, 64), kNow)), ErrorCode::kAuthentication);
}

TEST(Register, NobodyFillsItByRenewing) {
  Register members = with_member();
  for (int i = 2; i <= static_cast<int>(kMaxCertificatesOfMember); ++i) {
    ASSERT_TRUE(find_renewing(members, digits(1, 32), digits(1, 64), kNow));
    ASSERT_TRUE(record_renewal(members, given("standby1", i), kNow));
  }
  EXPECT_EQ(code_of(find_renewing(members, digits(1, 32), digits(1, 64), kNow)), ErrorCode::kPrecondition);
}

TEST(Register, RevokesAllThatAMemberHas) {
  Register members = with_member();
  ASSERT_TRUE(record_renewal(members, given("standby1", 2, kNow + kDay), kNow + kDay));
  ASSERT_TRUE(invite(members, {"standby1", hash_of_secret(kSecret), kNow + 3 * kDay}, kNow + kDay));
  ASSERT_TRUE(revoke(members, "standby1", kNow + kDay));
  EXPECT_EQ(members.list_number, 2U);
  EXPECT_EQ(revoked_of(members, kNow + kDay).serials.size(), 2U);
  EXPECT_EQ(revoked_of(members, kNow + kDay).number, 2U);
  EXPECT_FALSE(find_invited(members, kSecret, kNow + kDay));
  const Register before = members;
  EXPECT_TRUE(revoke(members, "standby1", kNow + 2 * kDay));
  EXPECT_EQ(members, before);
  EXPECT_EQ(revoke(members, "nobody", kNow).error().code, ErrorCode::kUsage);
}

TEST(Register, ForgetsWhatSaysNothingAnyMore) {
  Register members = with_member();
  for (int i = 2; i < 100; ++i) {
    const UnixSeconds now = kNow + i * 10 * kDay;
    ASSERT_TRUE(record_renewal(members, given("standby1", i, now), now));
  }
  EXPECT_LE(members.certificates.size(), 4U);
  // The last of a name stays, so that it can be listed.
  ASSERT_TRUE(invite(members, {"standby2", hash_of_secret(kSecret), kNow + 2000 * kDay}, kNow + 1999 * kDay));
  ASSERT_EQ(members.certificates.size(), 1U);
  const auto listed = list_members(members, kNow + 1999 * kDay);
  ASSERT_EQ(listed.size(), 2U);
  EXPECT_EQ(listed[0].standing, Standing::kExpired);
  EXPECT_EQ(listed[1].standing, Standing::kInvited);
  EXPECT_FALSE(listed[1].newest);
}

TEST(Register, ListsEachMemberOnceByItsNewestCertificate) {
  Register members = with_member();
  ASSERT_TRUE(record_admission(members, given("a", 5), kNow));
  ASSERT_TRUE(record_renewal(members, given("standby1", 2, kNow + kDay), kNow + kDay));
  ASSERT_TRUE(revoke(members, "a", kNow + kDay));
  const auto listed = list_members(members, kNow + kDay);
  ASSERT_EQ(listed.size(), 2U);
  EXPECT_EQ(listed[0].name, "a");
  EXPECT_EQ(listed[0].standing, Standing::kRevoked);
  EXPECT_EQ(listed[1].standing, Standing::kMember);
  EXPECT_EQ(listed[1].newest->serial, digits(2, 32));
}

TEST(Register, IsBounded) {
  Register members{.system_id = pg::SystemId(7)};
  for (std::size_t i = 0; i < kMaxInvitations; ++i) {
    ASSERT_TRUE(invite(members, {fmt::format("m{}", i), digits(1, 64), kNow + kDay}, kNow));
  }
  EXPECT_EQ(invite(members, {"more", digits(1, 64), kNow + kDay}, kNow).error().code,
            ErrorCode::kPrecondition);
  for (int i = 0; i < static_cast<int>(kMaxGivenCertificates); ++i) {
    members.certificates.push_back(given(std::string(63, 'n'), i));
  }
  const Register before = members;
  EXPECT_EQ(record_admission(members, given("more", 9999), kNow).error().code, ErrorCode::kPrecondition);
  EXPECT_EQ(members, before);
  const std::string text = text_of(members);
  EXPECT_LE(text.size(), std::size_t{1} << 20U);  // what the store keeps
  EXPECT_TRUE(parse_register(text));
}

}  // namespace
}  // namespace standfast::agent
