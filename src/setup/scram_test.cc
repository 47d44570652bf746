#include "setup/scram.h"

#include <set>

#include <gtest/gtest.h>

namespace standfast::setup {
namespace {

using base::Secret;

// The example of RFC 7677, in the form PostgreSQL stores it.
const Secret kPencil(
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");

TEST(Scram, ThePasswordOfTheRfcIsRecognised) {
  EXPECT_EQ(*match_password(kPencil, "user", Secret("pencil")), PasswordMatch::kYes);
  EXPECT_EQ(*match_password(kPencil, "user", Secret("pencil2")), PasswordMatch::kNo);
  EXPECT_EQ(*match_password(kPencil, "user", Secret("")), PasswordMatch::kNo);
}

TEST(Scram, AnMd5PasswordIsToldApartBecauseItMustBeStoredAnew) {
  const Secret stored("md5a6343a68d964ca596d9752250d54bb8a");
  EXPECT_EQ(*match_password(stored, "postgres", Secret("wrong")), PasswordMatch::kNo);
  const Secret real("md532e12f215ba27cb750c9e093ce4b5127");
  EXPECT_EQ(*match_password(real, "postgres", Secret("password")), PasswordMatch::kYesAsMd5);
  EXPECT_EQ(*match_password(real, "other", Secret("password")), PasswordMatch::kNo);
}

TEST(Scram, ARoleWithoutAPasswordMatchesNone) {
  EXPECT_EQ(*match_password(Secret(""), "user", Secret("")), PasswordMatch::kNo);
}

TEST(Scram, ADamagedVerifierIsAnErrorThatDoesNotQuoteIt) {
  for (const char* text :
       {"SCRAM-SHA-256$", "SCRAM-SHA-256$4096", "SCRAM-SHA-256$x:W22ZaJ0SNY7soEsUEjb6gQ==$AA==:AA==",
        "SCRAM-SHA-256$99999999999:W22ZaJ0SNY7soEsUEjb6gQ==$AA==:AA==",
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$AA==:AA==", "plain"}) {
    const auto match = match_password(Secret(text), "user", Secret("pencil"));
    ASSERT_FALSE(match) << text;
    EXPECT_EQ(match.error().message.find(text), std::string::npos);
  }
}

TEST(Scram, NewPasswordsAreLongUnlikeEachOtherAndNeedNoQuoting) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const Secret password = *new_password();
    EXPECT_EQ(password.reveal().size(), kPasswordLength);
    for (const char c : password.reveal()) EXPECT_TRUE(std::isalnum(static_cast<unsigned char>(c)) != 0);
    EXPECT_TRUE(check_password(password));
    EXPECT_TRUE(seen.insert(password.reveal()).second);
  }
}

TEST(Scram, APasswordThatFilesOrSaslprepWouldChangeIsRefused) {
  EXPECT_TRUE(check_password(Secret("it's: a \\ \"good\" one")));
  for (const char* text : {"", " blank first", "blank last ", "tab\t", "line\nend", "pässwort"}) {
    EXPECT_FALSE(check_password(Secret(text))) << text;
  }
  EXPECT_FALSE(check_password(Secret(std::string(257, 'x'))));
}

}  // namespace
}  // namespace standfast::setup
