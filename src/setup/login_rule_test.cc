#include "setup/login_rule.h"

#include <gtest/gtest.h>

namespace standfast::setup {
namespace {

LoginFiles files(const std::string& hba, const std::string& ident = "") {
  return {"/etc/pg_hba.conf", hba, "/etc/pg_ident.conf", ident};
}

std::string described(const LoginFiles& found, const std::string& user = "postgres") {
  return describe_login_rule(found, pg::HbaDialect::kWithContinuation,
                             {"postgres", user, std::nullopt, pg::Encryption::kPlain})
      .value_or("nothing");
}

TEST(LoginRule, TheLineThatTakesTheLoginIsNamedWithItsMap) {
  const std::string hba =
      "# rules\nlocal all bob trust\nlocal all all peer map=dbas  \nlocal all all trust\n";
  EXPECT_EQ(
      described(files(hba, "# map\ndbas alice postgres\nother root postgres\ndbas carol app # x\n")),
      "Line 3 of \"/etc/pg_hba.conf\" takes this login: local all all peer map=dbas. Of the map \"dbas\" "
      "\"/etc/pg_ident.conf\" has: alice postgres; carol app.");
  EXPECT_EQ(described(files(hba)),
            "Line 3 of \"/etc/pg_hba.conf\" takes this login: local all all peer map=dbas. "
            "\"/etc/pg_ident.conf\" has no line of the map \"dbas\".");
}

TEST(LoginRule, WithoutAMapPeerMeansTheUserOfThatName) {
  EXPECT_EQ(
      described(files("local all all peer\r\n"), "admin"),
      "Line 1 of \"/etc/pg_hba.conf\" takes this login: local all all peer. By it only the operating system "
      "user \"admin\" may be the role \"admin\".");
  EXPECT_EQ(described(files("local all all reject")),
            "Line 1 of \"/etc/pg_hba.conf\" takes this login: local all all reject.");
}

TEST(LoginRule, WhatIsNotSureOrNotThereIsSaidSo) {
  EXPECT_EQ(described(files("local all +admins scram-sha-256\n")),
            "Line 1 of \"/etc/pg_hba.conf\" may take this login: local all +admins scram-sha-256.");
  EXPECT_EQ(described(files("host all all all trust\n")),
            "No line of \"/etc/pg_hba.conf\" is for this login.");
  EXPECT_EQ(described(files("nonsense all\n")), "nothing");
}

TEST(LoginRule, OnlySoManyLinesOfAMapAreShown) {
  std::string ident;
  for (int i = 0; i < 50; ++i) ident += "dbas user" + std::to_string(i) + " postgres\n";
  EXPECT_EQ(lines_of_map(ident, "dbas").size(), kMaxShownMapLines);
}

}  // namespace
}  // namespace standfast::setup
