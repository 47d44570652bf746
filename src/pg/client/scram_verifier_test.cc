#include "pg/client/scram_verifier.h"

#include <gtest/gtest.h>

namespace standfast::client {
namespace {

// The password "pencil" with the salt of RFC 7677, as PostgreSQL stores it.
constexpr std::string_view kPencil =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

TEST(ScramVerifier, IsMadeAsPostgresMakesIt) {
  const auto salt = from_base64("W22ZaJ0SNY7soEsUEjb6gQ==");
  ASSERT_TRUE(salt);
  EXPECT_EQ(salt->size(), kScramSaltBytes);
  const auto verifier = make_scram_verifier("pencil", *salt, kScramIterations);
  ASSERT_TRUE(verifier);
  EXPECT_EQ(to_string(*verifier), kPencil);
}

TEST(ScramVerifier, KnowsItsPassword) {
  const auto verifier = parse_scram_verifier(kPencil);
  ASSERT_TRUE(verifier);
  EXPECT_EQ(to_string(*verifier), kPencil);
  EXPECT_TRUE(is_password_of(*verifier, "pencil"));
  EXPECT_FALSE(is_password_of(*verifier, "pencils"));
  EXPECT_FALSE(is_password_of(*verifier, ""));
}

}  // namespace
}  // namespace standfast::client
