#include "witness/scram_server.h"

#include <cstdlib>

#include <gtest/gtest.h>

namespace standfast::witness {
namespace {

// The example of RFC 7677.
constexpr std::string_view kUsers =
    "# who may log in\n"
    "\n"
    "user:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n";
constexpr std::string_view kServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
constexpr std::string_view kNonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
constexpr std::string_view kProof = ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

class Scram : public ::testing::Test {
 protected:
  ScramExchange exchange(std::string mechanism = "SCRAM-SHA-256", std::string hash = "",
                         std::string user = "user") const {
    return {users_,
            secret_,
            {.user = std::move(user),
             .mechanism = std::move(mechanism),
             .end_point_hash = std::move(hash),
             .nonce = std::string(kServerNonce)}};
  }
  bool accepts_first(std::string_view client_first, std::string mechanism = "SCRAM-SHA-256",
                     std::string hash = "") const {
    return exchange(std::move(mechanism), std::move(hash)).challenge(client_first).has_value();
  }
  static std::string final_message(std::string_view binding = "biws", std::string_view nonce = kNonce) {
    return "c=" + std::string(binding) + ",r=" + std::string(nonce) + std::string(kProof);
  }

  ScramUsers users_ = *ScramUsers::parse(kUsers, "users");
  ScramSecret secret_{base::Secret("0123456789abcdef")};
};

TEST_F(Scram, TheExampleOfTheRfcIsAccepted) {
  auto login = exchange();
  EXPECT_EQ(*login.challenge("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"),
            "r=" + std::string(kNonce) + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
  EXPECT_EQ(*login.verdict(final_message()), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

TEST_F(Scram, WhatIsSaidTwiceHasToBeTheSame) {
  auto login = exchange();
  ASSERT_TRUE(login.challenge("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
  EXPECT_FALSE(login.verdict(final_message("eSws")));  // "y,,"
  EXPECT_FALSE(login.verdict(final_message("biws", "rOprNGfwEbeRWgbNEkqO")));
  EXPECT_FALSE(login.verdict("c=biws,r=" + std::string(kNonce)));
  EXPECT_FALSE(login.verdict("c=biws,r=" + std::string(kNonce) + ",p=AAAA"));
  EXPECT_FALSE(login.verdict(""));
  std::string changed = final_message();
  changed[changed.size() - 5] ^= 1;
  EXPECT_FALSE(login.verdict(changed));
  EXPECT_TRUE(login.verdict(final_message()));
}

TEST_F(Scram, NoVerdictBeforeTheChallenge) {
  EXPECT_FALSE(exchange().verdict(final_message()));
}

TEST_F(Scram, SomebodyUnknownIsAskedLikeAnybodyAndRefused) {
  auto login = exchange("SCRAM-SHA-256", "", "nobody");
  const auto challenge = login.challenge("n,,n=,r=rOprNGfwEbeRWgbNEkqO");
  ASSERT_TRUE(challenge);
  EXPECT_TRUE(challenge->ends_with(",i=4096"));
  EXPECT_EQ(challenge->size(), exchange().challenge("n,,n=,r=rOprNGfwEbeRWgbNEkqO")->size());
  EXPECT_EQ(*challenge, *exchange("SCRAM-SHA-256", "", "nobody").challenge("n,,n=,r=rOprNGfwEbeRWgbNEkqO"));
  EXPECT_NE(*challenge, *exchange("SCRAM-SHA-256", "", "nobody2").challenge("n,,n=,r=rOprNGfwEbeRWgbNEkqO"));
  EXPECT_FALSE(login.verdict(final_message()));
}

TEST_F(Scram, MalformedFirstMessagesAreRefused) {
  EXPECT_TRUE(accepts_first("n,,n=,r=abc,x=more"));
  for (const char* text :
       {"", "n", "n,", "n,,", "n,,n=user", "n,,r=abc,n=user", "n,,n=user,r=", "n,,n=user,r=a b",
        "n,a=other,n=user,r=abc", "x,,n=user,r=abc", "n,,m=ext,n=user,r=abc"}) {
    EXPECT_FALSE(accepts_first(text)) << text;
  }
  EXPECT_FALSE(accepts_first(std::string_view("n,,n=us\0er,r=abc", 16)));
}

TEST_F(Scram, BindingFitsWhatWasOffered) {
  const std::string hash(32, 'h');
  EXPECT_TRUE(accepts_first("y,,n=,r=abc"));
  EXPECT_FALSE(accepts_first("p=tls-server-end-point,,n=,r=abc"));
  // A client that could bind, and believes that the server cannot, was told so by somebody in between.
  EXPECT_FALSE(accepts_first("y,,n=,r=abc", "SCRAM-SHA-256", hash));
  EXPECT_TRUE(accepts_first("n,,n=,r=abc", "SCRAM-SHA-256", hash));
  EXPECT_TRUE(accepts_first("p=tls-server-end-point,,n=,r=abc", "SCRAM-SHA-256-PLUS", hash));
  EXPECT_FALSE(accepts_first("p=tls-unique,,n=,r=abc", "SCRAM-SHA-256-PLUS", hash));
  EXPECT_FALSE(accepts_first("n,,n=,r=abc", "SCRAM-SHA-256-PLUS", hash));
}

TEST_F(Scram, NoncesAreNewAndPrintable) {
  const std::string one = *make_scram_nonce();
  EXPECT_EQ(one.size(), 24U);
  EXPECT_NE(one, *make_scram_nonce());
}

/// Who asks for a name again and again must not see by its salt whether there is such a user.
TEST(ScramSecretFile, TheSaltOfAnUnknownUserOutlivesTheProcess) {
  env::FileSystem& files = env::posix_file_system();
  std::string folder = ::testing::TempDir() + "standfast-salts-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/standfast.salts";
  const auto salt_of = [&](std::string_view user) {
    const auto secret = ScramSecret::kept_in(files, folder);
    EXPECT_TRUE(secret) << secret.error().message;
    return secret ? secret->verifier_for(user, 4096)->salt : "";
  };
  const std::string salt = salt_of("nobody");
  EXPECT_EQ(salt_of("nobody"), salt);
  EXPECT_NE(salt_of("nobody else"), salt);
  EXPECT_EQ((*files.inspect(path))->mode, 0600U);
  // Another folder has another one.
  ASSERT_TRUE(files.remove_file(path));
  EXPECT_NE(salt_of("nobody"), salt);
  ASSERT_TRUE(files.set_mode(path, 0640));
  EXPECT_EQ(ScramSecret::kept_in(files, folder).error().code, base::ErrorCode::kPermission);
  ASSERT_TRUE(env::write_file_durably(files, path, "c2hvcnQ=\n", {.mode = 0600}));
  EXPECT_EQ(ScramSecret::kept_in(files, folder).error().code, base::ErrorCode::kProtocol);
  ASSERT_TRUE(env::remove_tree(files, folder));
}

TEST(ScramUsersFile, RolesMayHaveColonsAndOnlyOneLine) {
  const std::string verifier(kUsers.substr(kUsers.find(":SCRAM")));
  const auto users = ScramUsers::parse("a:b" + verifier + "c" + verifier, "users");
  ASSERT_TRUE(users);
  EXPECT_NE(users->find("a:b"), nullptr);
  EXPECT_NE(users->find("c"), nullptr);
  EXPECT_EQ(users->find("a"), nullptr);
  const auto twice = ScramUsers::parse("c" + verifier + "c" + verifier, "users");
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().message, "line 2 of users is the second one of its role");
}

TEST(ScramUsersFile, ALineThatIsNotUnderstoodIsNamedAndNotQuoted) {
  for (const char* text :
       {"user", "user:", "user:md532e12f215ba27cb750c9e093ce4b5127", ":SCRAM-SHA-256$4096:x$y:z",
        "user:SCRAM-SHA-256$0:W22ZaJ0SNY7soEsUEjb6gQ==$AA==:AA=="}) {
    const auto users = ScramUsers::parse("# first\n" + std::string(text), "\"f\"");
    ASSERT_FALSE(users) << text;
    EXPECT_EQ(users.error().message, "line 2 of \"f\" is not a role, a colon and a SCRAM verifier");
    EXPECT_EQ(users.error().code, base::ErrorCode::kProtocol);
  }
}

TEST(ScramUsersFile, IsNotReadWhereOthersMayReadIt) {
  env::FileSystem& files = env::posix_file_system();
  std::string folder = ::testing::TempDir() + "standfast-users-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/users";
  ASSERT_TRUE(env::write_file_durably(files, path, kUsers, {.mode = 0640}));
  const auto refused = ScramUsers::read(files, path);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::ErrorCode::kPermission);
  ASSERT_TRUE(files.set_mode(path, 0600));
  EXPECT_TRUE(ScramUsers::read(files, path));
  ASSERT_TRUE(files.remove_file(path));
  EXPECT_EQ(ScramUsers::read(files, path).error().code, base::ErrorCode::kIo);
  ASSERT_TRUE(env::remove_tree(files, folder));
}

}  // namespace
}  // namespace standfast::witness
