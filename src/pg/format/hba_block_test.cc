#include "pg/format/hba_block.h"

#include <string>

#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

using base::ErrorCode;

HbaBlock example() {
  HbaBlock block;
  block.members = {{"pgstandby1", "10.20.20.2/32"}};
  block.replication_role = "replicator";
  block.monitor_role = "standfast_monitor";
  block.monitor_database = "standfast";
  return block;
}

constexpr std::string_view kRendered =
    "# BEGIN standfast: written by \"standfast primary setup\"; do not edit inside, the next run rewrites "
    "it\n"
    "# slot pgstandby1\n"
    "hostssl replication \"replicator\" 10.20.20.2/32 scram-sha-256\n"
    "hostssl \"standfast\" \"standfast_monitor\" 10.20.20.2/32 scram-sha-256\n"
    "# END standfast\n";

// As initdb leaves it, comments shortened.
constexpr std::string_view kInitdb =
    "# TYPE  DATABASE        USER            ADDRESS                 METHOD\n"
    "\n"
    "# \"local\" is for Unix domain socket connections only\n"
    "local   all             all                                     peer\n"
    "# IPv4 local connections:\n"
    "host    all             all             127.0.0.1/32            scram-sha-256\n"
    "host    replication     all             127.0.0.1/32            scram-sha-256\n";

std::string with(std::string_view text, const HbaBlock& block = example()) {
  auto result = with_block(text, block);
  EXPECT_TRUE(result.has_value()) << (result.has_value() ? "" : result.error().message);
  return result.has_value() ? *result : "";
}

TEST(HbaBlock, LooksAsDocumented) {
  EXPECT_EQ(example().render(), kRendered);
}

TEST(HbaBlock, WitnessHasTheReplicationLineAloneAndIsReadBackAsOne) {
  HbaBlock block = example();
  block.members.push_back({"witness1", "10.20.20.3/32", HbaMember::kWitness});
  const std::string rendered = block.render();
  EXPECT_NE(
      rendered.find("# witness witness1\nhostssl replication \"replicator\" 10.20.20.3/32 scram-sha-256\n"
                    "# END"),
      std::string::npos)
      << rendered;
  EXPECT_EQ(block.connections().size(), 3U);
  const auto found = find_block(rendered);
  ASSERT_TRUE(found.has_value() && found->has_value());
  EXPECT_EQ(**found, block);
}

TEST(HbaBlock, WitnessAloneIsABlock) {
  HbaBlock block = example();
  block.members = {{"witness1", "10.20.20.3/32", HbaMember::kWitness}};
  const auto found = find_block(block.render());
  ASSERT_TRUE(found.has_value() && found->has_value());
  EXPECT_EQ((*found)->members, block.members);
  EXPECT_EQ(with(with(kInitdb, block), block), with(kInitdb, block));
}

TEST(HbaBlock, GoesToTheEndWhereNoRuleIsInItsWay) {
  EXPECT_EQ(with(kInitdb), std::string(kInitdb) + std::string(kRendered));
}

TEST(HbaBlock, GoesBeforeTheFirstRuleThatTakesALoginAndBeforeItsComment) {
  const std::string above = "local all all peer\nhost all all 127.0.0.1/32 md5\n\n";
  const std::string below =
      "# nobody from outside\n# really\nhost all all 0.0.0.0/0 reject\nhost replication all all md5\n";
  EXPECT_EQ(with(above + below), above + std::string(kRendered) + below);
}

TEST(HbaBlock, GoesBeforeRulesThatMayTakeALogin) {
  for (const std::string_view rule :
       {"host replication all samenet md5\n", "include more.conf\n",
        "hostssl all +monitors 10.0.0.0/8 reject\n", "host all all .example.com reject\n",
        "host replication all 10.20.20.0 255.255.255.0 md5 # x\n"}) {
    const std::string above = "host all postgres 127.0.0.1/32 trust\n";
    EXPECT_EQ(with(above + std::string(rule)), above + std::string(kRendered) + std::string(rule));
  }
}

TEST(HbaBlock, StaysBehindRulesThatCannotTakeItsLogins) {
  for (const std::string_view rule :
       {"hostnossl all all all reject\n", "local all all trust\n", "host all all 10.20.21.0/24 reject\n",
        "host replication someone all md5\n"}) {
    EXPECT_EQ(with(rule), std::string(rule) + std::string(kRendered)) << rule;
  }
}

TEST(HbaBlock, NeverSplitsALineThatGoesOn) {
  const std::string text = "host all all \\\n0.0.0.0/0 \\\nreject\n";
  EXPECT_EQ(with(text), std::string(kRendered) + text);
}

TEST(HbaBlock, KeepsItsPlaceWhenLinesAreAddedBehindIt) {
  const std::string added = with(kInitdb) + "# mine\nhost all all 10.20.20.1/32 scram-sha-256\n";
  EXPECT_EQ(with(added), added);
  HbaBlock two = example();
  two.members.push_back({"pgstandby2", "10.20.20.3/32"});
  const std::string grown = with(added, two);
  EXPECT_LT(grown.find("10.20.20.3/32"), grown.find("# mine"));
  // But not behind a line that takes its logins.
  const std::string before = "host all all 0.0.0.0/0 reject\n" + added;
  EXPECT_EQ(with(before).find("# BEGIN standfast"), 0U);
}

TEST(HbaBlock, KeepsNoPlaceBehindALineThatGoesOn) {
  const std::string joined = "local all all peer \\\n" + std::string(kRendered) + "local all all md5\n";
  EXPECT_EQ(without_block(with(joined)).value(), without_block(joined).value());
  EXPECT_NE(with(joined), joined);
}

TEST(HbaBlock, IsReplacedAndMovedRatherThanWrittenTwice) {
  HbaBlock two = example();
  two.members.push_back({"pgstandby2", "2001:db8::2/128"});
  two.probe_address_cidr = "10.20.20.1/32";
  const std::string first = with(kInitdb);
  const std::string second = with(first, two);
  EXPECT_EQ(second, std::string(kInitdb) + two.render());
  EXPECT_EQ(with(second, two), second);
  const std::string blocked = "host all all all reject\n" + second;
  EXPECT_EQ(with(blocked, two), two.render() + "host all all all reject\n" + std::string(kInitdb));
}

TEST(HbaBlock, TakenOutAgainTheFileIsWhatItWas) {
  for (const std::string_view text :
       {kInitdb, std::string_view(""), std::string_view("\n"), std::string_view("local all all peer"),
        std::string_view("# x\r\n# y"), std::string_view("host all all all reject"),
        std::string_view("host all all \\"
                         "\nall md5 \\")}) {
    const std::string changed = with(text);
    EXPECT_EQ(with(changed), changed) << text;
    EXPECT_EQ(without_block(changed).value(), text);
    EXPECT_EQ(without_block(text).value(), text);
  }
}

TEST(HbaBlock, ABlockWithNobodyInItIsNone) {
  HbaBlock nobody = example();
  nobody.members.clear();
  EXPECT_EQ(with(with(kInitdb), nobody), kInitdb);
}

TEST(HbaBlock, IsFoundAsItWasWritten) {
  HbaBlock block = example();
  block.members.push_back({"pgstandby2", "2001:db8::2/128"});
  block.replication_role = "odd \"name\", #1";
  block.encryption = Encryption::kPlain;
  block.probe_address_cidr = "10.20.20.1/32";
  EXPECT_EQ(find_block(with(kInitdb, block)).value(), block);
  EXPECT_FALSE(find_block(kInitdb).value().has_value());

  std::string crlf;
  for (const char c : with(kInitdb, block)) crlf += c == '\n' ? std::string("\r\n") : std::string(1, c);
  EXPECT_EQ(find_block(crlf).value(), block) << "an editor may have changed the line ends";
}

TEST(HbaBlock, OneThatIsHalfOrDoubleIsRefusedWithAHint) {
  const std::string block(kRendered);
  const std::string begin = block.substr(0, block.find('\n') + 1);
  for (const std::string& bad :
       {begin, std::string("# END standfast\n"), block + block, begin + block, block + "# END standfast\n"}) {
    for (const auto& error : {with_block(bad, example()), without_block(bad)}) {
      ASSERT_FALSE(error.has_value()) << bad;
      EXPECT_EQ(error.error().code, ErrorCode::kPrecondition);
      EXPECT_NE(error.error().hint.find("# END standfast"), std::string::npos);
    }
    EXPECT_FALSE(find_block(bad).has_value());
  }
}

TEST(HbaBlock, LinesOfSomeoneElseInsideAreNoticed) {
  for (const std::string_view line : {"host all all all trust\n", "# a note\n", "\n", "nonsense\n"}) {
    std::string text = with(kInitdb);
    text.insert(text.find("# END"), line);
    EXPECT_EQ(find_block(text).error().code, ErrorCode::kPrecondition) << line;
  }
}

TEST(HbaBlock, MarkersOfOthersAreNotOurs) {
  const std::string text = "# BEGIN standfaster\n# END standfast-old\n #BEGIN standfast\n";
  EXPECT_EQ(without_block(text).value(), text);
}

TEST(HbaBlock, NamesAndAddressesThatWouldSayMoreAreRefused) {
  const auto refused = [](auto change) {
    HbaBlock block = example();
    change(block);
    const auto result = with_block(kInitdb, block);
    return !result.has_value() && result.error().code == ErrorCode::kUsage;
  };
  EXPECT_TRUE(refused([](HbaBlock& b) { b.replication_role = "a\nhost all all all trust"; }));
  EXPECT_TRUE(refused([](HbaBlock& b) { b.replication_role = "/.*"; })) << "a regular expression from 16 on";
  EXPECT_TRUE(refused([](HbaBlock& b) { b.monitor_role = ""; }));
  EXPECT_TRUE(refused([](HbaBlock& b) { b.members[0].address_cidr = "all"; }));
  EXPECT_TRUE(refused([](HbaBlock& b) { b.members[0].address_cidr = "10.20.20.2"; }));
  EXPECT_TRUE(refused([](HbaBlock& b) { b.members[0].slot_name = "x\nhost all all all trust"; }));
  EXPECT_TRUE(refused([](HbaBlock& b) { b.probe_address_cidr = "x"; }));
}

TEST(HbaBlock, IsNotJoinedToALastLineThatGoesOn) {
  for (const std::string_view text :
       {"local all all \"peer \\\n", "local all all peer \\", "# comment \\\r\n"}) {
    EXPECT_EQ(with_block(text, example()).error().code, ErrorCode::kPrecondition) << text;
    EXPECT_TRUE(with_block(text, example(), HbaDialect::kWithoutContinuation).has_value()) << text;
  }
  const std::string_view finished = "local all all peer \\\n\n";
  EXPECT_EQ(with(finished), std::string(finished) + std::string(kRendered));
}

TEST(HbaBlock, ABrokenFileIsLeftAlone) {
  EXPECT_EQ(with_block("hots all all all trust\n", example()).error().code, ErrorCode::kProtocol);
}

TEST(HbaBlock, ABlockThatWasPastedWithItsIndentationIsTheSameBlock) {
  constexpr std::string_view kIndented =
      "  local all all peer\n"
      "      # BEGIN standfast: written by \"standfast primary setup\"; do not edit inside, the next run "
      "rewrites "
      "it\n"
      "\t# slot pgstandby1\n"
      "      host replication \"replicator\" 10.20.20.2/32 scram-sha-256\n"
      "      host \"standfast\" \"standfast_monitor\" 10.20.20.2/32 scram-sha-256\n"
      "      # END standfast\n"
      "  host all all all reject\n";
  const std::string text = with_block_at_margin(kIndented);
  EXPECT_TRUE(text.starts_with("  local all all peer\n# BEGIN standfast"));
  EXPECT_TRUE(text.ends_with("\n# END standfast\n  host all all all reject\n"));
  const auto block = find_block(text);
  ASSERT_TRUE(block && *block);
  EXPECT_EQ((*block)->members.size(), 1U);
  EXPECT_EQ(with_block_at_margin(text), text);
  EXPECT_EQ(with_block_at_margin(" no block\n here"), " no block\n here");
}

}  // namespace
}  // namespace standfast::pg
