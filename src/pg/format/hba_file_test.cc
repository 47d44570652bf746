#include "pg/format/hba_file.h"

#include <string>

#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

HbaFile parsed(std::string_view text) {
  auto file = parse_hba(text);
  EXPECT_TRUE(file.has_value()) << (file.has_value() ? "" : file.error().message);
  return file.has_value() ? *file : HbaFile();
}

HbaConnection replication(std::string address, Encryption encryption = Encryption::kTls) {
  return {std::nullopt, "replicator", std::move(address), encryption};
}
HbaConnection ordinary(std::string database, std::string user, std::string address) {
  return {std::move(database), std::move(user), std::move(address), Encryption::kTls};
}

/// How the one rule of that line matches.
HbaMatch match(std::string_view line, const HbaConnection& connection) {
  const HbaFile file = parsed(line);
  EXPECT_EQ(file.rules.size(), 1U) << line;
  return match_rule(file.rules.at(0), connection);
}

TEST(HbaFile, ReadsRulesWithListsQuotesAndOptions) {
  const HbaFile file = parsed(
      "# comment\n"
      "local all, db2 , \"all\" all peer map=x,y\t# more\r\n"
      "hostssl \"my \"\"db\"\"#1\",x \"a,b\",+staff 10.0.0.0 255.0.0.0 cert clientcert=verify-full \"a=b "
      "c\"\n"
      "host all all samenet trust");
  ASSERT_EQ(file.rules.size(), 3U);
  const HbaRule& local = file.rules[0];
  EXPECT_EQ(local.type, HbaRuleType::kLocal);
  EXPECT_EQ(local.databases, (std::vector<HbaToken>{{"all", false}, {"db2", false}}));
  EXPECT_EQ(local.users, (std::vector<HbaToken>{{"all", true}}))
      << "a comma after a blank begins a new field";
  const HbaRule& ssl = file.rules[1];
  EXPECT_EQ(ssl.line_number, 3U);
  EXPECT_EQ(ssl.databases, (std::vector<HbaToken>{{"my \"db\"#1", true}, {"x", false}}));
  EXPECT_EQ(ssl.users, (std::vector<HbaToken>{{"a,b", true}, {"+staff", false}}));
  EXPECT_EQ(ssl.address.text, "10.0.0.0");
  EXPECT_EQ(ssl.netmask, "255.0.0.0");
  EXPECT_EQ(ssl.method, "cert");
  EXPECT_EQ(ssl.options, (std::vector<std::string>{"clientcert=verify-full", "a=b c"}));
  EXPECT_EQ(file.rules[2].method, "trust");
}

TEST(HbaFile, ABackslashJoinsLinesOnlyWhereTheServerDoesSo) {
  const std::string_view text = "host all all \\\n  10.0.0.1/32 trust\nlocal all all trust\n";
  const HbaFile joined = parsed(text);
  ASSERT_EQ(joined.rules.size(), 2U);
  EXPECT_EQ(joined.rules[0].address.text, "10.0.0.1/32");
  EXPECT_EQ(joined.rules[1].line_number, 3U);
  EXPECT_FALSE(parse_hba(text, HbaDialect::kWithoutContinuation).has_value());
  EXPECT_TRUE(parsed("# a comment that goes on \\\nhost all all 1.1.1.1/32 trust\n").rules.empty());
}

TEST(HbaFile, IncludesAreRulesThatMayMatch) {
  const HbaFile file = parsed("include a.conf\ninclude_if_exists \"b c\"\ninclude_dir d\n");
  ASSERT_EQ(file.rules.size(), 3U);
  EXPECT_EQ(file.rules[1].type, HbaRuleType::kIncludeIfExists);
  EXPECT_EQ(file.rules[1].include_path, "b c");
  EXPECT_EQ(match_rule(file.rules[2], replication("10.0.0.1")), HbaMatch::kMaybe);
}

TEST(HbaFile, ABadLineIsNamedByItsNumber) {
  for (const std::string_view bad :
       {"hosts all all all trust", "host", "host all", "host all all", "host all all all",
        "host all all 10.0.0.1 trust", "host all all 10.0.0.1,10.0.0.2 trust", "host,local all all all trust",
        "local all all trust,md5", "local all all"}) {
    const auto file = parse_hba("\nlocal all all trust\n" + std::string(bad) + "\n");
    ASSERT_FALSE(file.has_value()) << bad;
    EXPECT_EQ(file.error().code, base::ErrorCode::kProtocol);
    EXPECT_NE(file.error().message.find("line 3:"), std::string::npos) << file.error().message;
  }
  EXPECT_FALSE(parse_hba(std::string_view("a\0b", 3)).has_value());
}

TEST(HbaMatch, AllIsNotReplicationAndReplicationIsNotADatabase) {
  EXPECT_EQ(match("host all all all trust", replication("10.0.0.1")), HbaMatch::kNo);
  EXPECT_EQ(match("host replication all all trust", replication("10.0.0.1")), HbaMatch::kYes);
  EXPECT_EQ(match("host \"replication\" all all trust", replication("10.0.0.1")), HbaMatch::kNo);
  EXPECT_EQ(match("host replication all all trust", ordinary("replication", "a", "10.0.0.1")), HbaMatch::kNo);
  EXPECT_EQ(match("host \"replication\" all all trust", ordinary("replication", "a", "10.0.0.1")),
            HbaMatch::kYes);
  EXPECT_EQ(match("host samerole,sameuser,/x all all trust", replication("10.0.0.1")), HbaMatch::kNo);
}

TEST(HbaMatch, DatabasesAndUsersOfAllKinds) {
  const HbaConnection connection = ordinary("app", "app", "10.0.0.1");
  EXPECT_EQ(match("host app app all trust", connection), HbaMatch::kYes);
  EXPECT_EQ(match("host App app all trust", connection), HbaMatch::kNo) << "with case";
  EXPECT_EQ(match("host x,app \"app\" all trust", connection), HbaMatch::kYes);
  EXPECT_EQ(match("host sameuser all all trust", connection), HbaMatch::kYes);
  EXPECT_EQ(match("host sameuser all all trust", ordinary("app", "b", "10.0.0.1")), HbaMatch::kNo);
  EXPECT_EQ(match("host samerole all all trust", connection), HbaMatch::kMaybe);
  EXPECT_EQ(match("host samegroup all all trust", connection), HbaMatch::kMaybe);
  EXPECT_EQ(match("host \"all\" all all trust", connection), HbaMatch::kNo);
  EXPECT_EQ(match("host all \"all\" all trust", connection), HbaMatch::kNo);
  EXPECT_EQ(match("host all +staff all trust", connection), HbaMatch::kMaybe);
  EXPECT_EQ(match("host all \"+staff\" all trust", connection), HbaMatch::kNo);
  EXPECT_EQ(match("host @dbs all all trust", connection), HbaMatch::kMaybe);
  EXPECT_EQ(match("host @dbs all all trust", replication("10.0.0.1")), HbaMatch::kMaybe);
  EXPECT_EQ(match("host all @users all trust", connection), HbaMatch::kMaybe);
  EXPECT_EQ(match("host /^a all all trust", connection), HbaMatch::kMaybe);
  EXPECT_EQ(match("host all \"/^a,b\" all trust", connection), HbaMatch::kMaybe);
  EXPECT_EQ(match("host all +staff,app all trust", connection), HbaMatch::kYes) << "the best of the list";
  EXPECT_EQ(match("host @dbs other all trust", connection), HbaMatch::kNo) << "the worst of the columns";
}

TEST(HbaMatch, AddressesOfAllKinds) {
  const HbaConnection v4 = replication("10.20.20.2");
  const HbaConnection v6 = replication("2001:db8::2");
  const auto line = [](std::string_view address) {
    return "host replication all " + std::string(address) + " trust";
  };
  EXPECT_EQ(match(line("10.20.20.2/32"), v4), HbaMatch::kYes);
  EXPECT_EQ(match(line("10.20.20.99/24"), v4), HbaMatch::kYes) << "host bits do not count";
  EXPECT_EQ(match(line("10.20.21.0/24"), v4), HbaMatch::kNo);
  EXPECT_EQ(match(line("10.20.20.0/30"), v4), HbaMatch::kYes);
  EXPECT_EQ(match(line("10.20.20.4/30"), v4), HbaMatch::kNo);
  EXPECT_EQ(match(line("0.0.0.0/0"), v4), HbaMatch::kYes);
  EXPECT_EQ(match(line("0.0.0.0/0"), v6), HbaMatch::kNo);
  EXPECT_EQ(match(line("::/0"), v4), HbaMatch::kNo);
  EXPECT_EQ(match(line("2001:db8::/32"), v6), HbaMatch::kYes);
  EXPECT_EQ(match(line("2001:db8::2 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), v6), HbaMatch::kYes);
  EXPECT_EQ(match(line("10.20.20.0 255.255.255.0"), v4), HbaMatch::kYes);
  EXPECT_EQ(match(line("10.99.20.0 255.0.255.0"), v4), HbaMatch::kYes) << "a mask may have holes";
  EXPECT_EQ(match(line("10.20.99.0 255.0.255.0"), v4), HbaMatch::kNo);
  EXPECT_EQ(match(line("all"), v4), HbaMatch::kYes);
  EXPECT_EQ(match(line("samehost"), v4), HbaMatch::kMaybe);
  EXPECT_EQ(match(line("samenet"), v4), HbaMatch::kMaybe);
  EXPECT_EQ(match(line("standby.example.com"), v4), HbaMatch::kMaybe);
  EXPECT_EQ(match(line("10.20.20.2/33"), v4), HbaMatch::kMaybe) << "not understood, so not ruled out";
}

TEST(HbaMatch, ANetworkIsTakenWholeOrPerhaps) {
  const HbaConnection network = replication("10.20.0.0/16");
  EXPECT_EQ(match("host replication all 10.0.0.0/8 trust", network), HbaMatch::kYes);
  EXPECT_EQ(match("host replication all 10.20.20.2/32 reject", network), HbaMatch::kMaybe);
  EXPECT_EQ(match("host replication all 10.21.0.0/16 trust", network), HbaMatch::kNo);
}

TEST(HbaMatch, ConnectionTypes) {
  const HbaConnection tls = replication("10.0.0.1", Encryption::kTls);
  const HbaConnection plain = replication("10.0.0.1", Encryption::kPlain);
  const HbaConnection socket{std::nullopt, "replicator", std::nullopt, Encryption::kPlain};
  EXPECT_EQ(match("hostssl replication all all trust", tls), HbaMatch::kYes);
  EXPECT_EQ(match("hostssl replication all all trust", plain), HbaMatch::kNo);
  EXPECT_EQ(match("hostnossl replication all all trust", tls), HbaMatch::kNo);
  EXPECT_EQ(match("hostnossl replication all all trust", plain), HbaMatch::kYes);
  EXPECT_EQ(match("hostgssenc replication all all trust", tls), HbaMatch::kNo);
  EXPECT_EQ(match("hostnogssenc replication all all trust", plain), HbaMatch::kYes);
  EXPECT_EQ(match("local replication all trust", tls), HbaMatch::kNo);
  EXPECT_EQ(match("local replication all trust", socket), HbaMatch::kYes);
  EXPECT_EQ(match("host replication all all trust", socket), HbaMatch::kNo);
}

TEST(HbaMatch, TheFirstRuleThatTakesOrMayTakeCounts) {
  const HbaFile file = parsed(
      "local all all peer\n"
      "host all all 10.0.0.0/8 md5\n"
      "host replication +repl 10.0.0.0/8 md5\n"
      "host replication all 10.0.0.0/8 reject\n");
  EXPECT_EQ(first_rule_for(file, replication("10.0.0.1"))->index, 2U);
  EXPECT_EQ(first_rule_for(file, replication("10.0.0.1"))->match, HbaMatch::kMaybe);
  EXPECT_EQ(first_rule_for(file, ordinary("a", "b", "10.0.0.1"))->index, 1U);
  EXPECT_FALSE(first_rule_for(file, replication("192.168.0.1")).has_value());
}

TEST(StandbyAddress, IsMadeCanonical) {
  const auto cidr = [](std::string_view text) { return parse_standby_address(text).value().cidr; };
  EXPECT_EQ(cidr("10.20.20.2"), "10.20.20.2/32");
  EXPECT_EQ(cidr("10.20.20.2/32"), "10.20.20.2/32");
  EXPECT_EQ(cidr("2001:DB8:0:0::2"), "2001:db8::2/128");
  EXPECT_EQ(cidr("::1"), "::1/128");
  EXPECT_EQ(cidr("10.20.20.2/24"), "10.20.20.0/24");
  EXPECT_EQ(cidr("fe80::1"), "fe80::1/128");
  EXPECT_FALSE(parse_standby_address("10.20.20.2/32")->is_network);
  EXPECT_TRUE(parse_standby_address("10.20.20.2/31")->is_network);
  EXPECT_TRUE(parse_standby_address("0.0.0.0/0")->is_network);
}

TEST(StandbyAddress, WhatPgHbaCannotMatchIsRefused) {
  for (const std::string_view bad : {"",
                                     "/32",
                                     "10.20.20",
                                     "10.20.20.2/",
                                     "10.20.20.2/33",
                                     "10.20.20.2/-1",
                                     "10.20.20.2/+1",
                                     "10.20.20.2/032",
                                     "10.20.20.2/24/24",
                                     "010.20.20.2",
                                     "10.20.20.2 ",
                                     " 10.20.20.2",
                                     "10.20.20.256",
                                     "0.0.0.0",
                                     "::",
                                     "::ffff:10.20.20.2",
                                     "::ffff:10.20.20.2/120",
                                     "fe80::1%eth0",
                                     "2001:db8::/129",
                                     "1:2",
                                     "samenet",
                                     "all",
                                     "10.20.20.2,10.20.20.3",
                                     "10.20.20.2 trust\nhost all all all trust"}) {
    const auto result = parse_standby_address(bad);
    ASSERT_FALSE(result.has_value()) << bad;
    EXPECT_EQ(result.error().code, base::ErrorCode::kUsage);
    EXPECT_FALSE(result.error().hint.empty()) << bad;
  }
  EXPECT_FALSE(parse_standby_address(std::string_view("10.0.0.1\0x", 10)).has_value());
  EXPECT_NE(parse_standby_address("standby1.example.com").error().message.find("DNS"), std::string::npos);
}

}  // namespace
}  // namespace standfast::pg
