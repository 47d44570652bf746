#include "setup/firewall.h"

#include <cstdlib>

#include <gtest/gtest.h>

namespace standfast::setup {
namespace {

TEST(Firewall, TheCommandAdmitsThatAddressAndNoOther) {
  EXPECT_EQ(firewall_command(Firewall::kUfw, "10.20.20.2/32", 5433),
            "ufw allow proto tcp from 10.20.20.2/32 to any port 5433");
  const std::string ipv4 = firewall_command(Firewall::kFirewalld, "10.20.20.2/32", 5432);
  EXPECT_NE(ipv4.find("family=\"ipv4\" source address=\"10.20.20.2/32\" port port=\"5432\""),
            std::string::npos);
  EXPECT_NE(ipv4.find("--reload"), std::string::npos);
  const std::string ipv6 = firewall_command(Firewall::kFirewalld, "fd00::2/128", 5432);
  EXPECT_NE(ipv6.find("family=\"ipv6\""), std::string::npos);
}

TEST(Firewall, LoopbackNeedsNone) {
  EXPECT_TRUE(is_loopback("127.0.0.1/32"));
  EXPECT_TRUE(is_loopback("::1/128"));
  EXPECT_FALSE(is_loopback("10.20.20.2/32"));
}

TEST(Firewall, TheCallsAreThoseOfTheHandbooks) {
  const FirewallCalls ufw = calls_of(Firewall::kUfw, "10.20.20.2/32", 5433);
  EXPECT_EQ(ufw.is_active, (Argv{"status"}));
  EXPECT_EQ(
      ufw.open,
      (std::vector<Argv>{{"allow", "proto", "tcp", "from", "10.20.20.2", "to", "any", "port", "5433"}}));
  EXPECT_EQ(ufw.close.front().front(), "delete");
  const FirewallCalls firewalld = calls_of(Firewall::kFirewalld, "fd00::2/128", 5432);
  const std::string rule =
      "rule family=\"ipv6\" source address=\"fd00::2/128\" port port=\"5432\" protocol=\"tcp\" accept";
  EXPECT_EQ(firewalld.is_active, (Argv{"--state"}));
  EXPECT_EQ(firewalld.is_open,
            (std::vector<Argv>{{"--permanent", "--query-rich-rule=" + rule}, {"--query-rich-rule=" + rule}}));
  EXPECT_EQ(firewalld.open,
            (std::vector<Argv>{{"--permanent", "--add-rich-rule=" + rule}, {"--add-rich-rule=" + rule}}));
  EXPECT_EQ(firewalld.close, (std::vector<Argv>{{"--permanent", "--remove-rich-rule=" + rule},
                                                {"--remove-rich-rule=" + rule}}));
}

TEST(Firewall, WhatUfwSaysIsReadToTheLetter) {
  const auto said = [](std::string output) { return env::CommandResult{0, std::move(output), ""}; };
  EXPECT_TRUE(says_active(Firewall::kUfw, said("Status: active\n\nTo  Action\n")));
  EXPECT_FALSE(says_active(Firewall::kUfw, said("Status: inactive\n")));
  const auto added = said(
      "Added user rules (see 'ufw status' for running firewall):\n"
      "ufw allow from 10.20.20.2 to any port 5432 proto tcp\nufw allow 22/tcp\n");
  EXPECT_TRUE(says_open(Firewall::kUfw, added, "10.20.20.2/32", 5432));
  EXPECT_FALSE(says_open(Firewall::kUfw, added, "10.20.20.2/32", 543));
  EXPECT_FALSE(says_open(Firewall::kUfw, added, "10.20.20.3/32", 5432));
}

/// A folder with a firewall's program that notes its arguments and answers as told.
class RecordedFirewall : public testing::Test {
 protected:
  RecordedFirewall() {
    char pattern[] = "/tmp/standfast-firewall-test-XXXXXX";
    folder_ = mkdtemp(pattern);
  }
  ~RecordedFirewall() override { static_cast<void>(env::remove_tree(files_, folder_)); }

  void install(const std::string& program, const std::string& body) {
    EXPECT_TRUE(env::write_file_durably(
        files_, folder_ + "/" + program,
        "#!/bin/sh\nprintf '%s\\n' \"$*\" >> " + folder_ + "/calls\n" + body + "\n", {.mode = 0700}));
  }
  base::Result<server::FirewallAnswer> run(server::FirewallAction action, const std::string& address,
                                           std::uint16_t port = 5432) {
    const std::string_view folders[] = {"/nowhere", folder_};
    return run_firewall(files_, {action, address, port}, env::Wait::for_at_most(base::Seconds(60)), folders);
  }
  std::string calls() { return env::read_whole_file(files_, folder_ + "/calls", 10000).value_or(""); }

  env::FileSystem& files_ = env::posix_file_system();
  std::string folder_;
};

TEST_F(RecordedFirewall, ItIsAskedThenOpenedThenClosed) {
  install("ufw", "case $1 in status) echo 'Status: active';; show) echo 'Added user rules:';; esac");
  EXPECT_EQ(run(server::FirewallAction::kAsk, "10.20.20.2/32").value(), server::FirewallAnswer::kClosed);
  EXPECT_EQ(run(server::FirewallAction::kOpen, "10.20.20.2/32").value(), server::FirewallAnswer::kOpen);
  EXPECT_EQ(run(server::FirewallAction::kClose, "10.20.20.2/32").value(), server::FirewallAnswer::kClosed);
  EXPECT_EQ(calls(),
            "status\nshow added\nstatus\nallow proto tcp from 10.20.20.2 to any port 5432\nstatus\n"
            "delete allow proto tcp from 10.20.20.2 to any port 5432\n");
}

TEST_F(RecordedFirewall, OneThatIsNotActiveOrNotThereIsLeftAlone) {
  EXPECT_EQ(run(server::FirewallAction::kOpen, "10.20.20.2/32").value(), server::FirewallAnswer::kNone);
  install("firewall-cmd", "exit 252");
  EXPECT_EQ(run(server::FirewallAction::kOpen, "10.20.20.2/32").value(), server::FirewallAnswer::kNone);
  EXPECT_EQ(calls(), "--state\n");
}

TEST_F(RecordedFirewall, ARuleThatIsOnlyKeptOrOnlyOfTheMomentIsSomebodysOwn) {
  install("firewall-cmd", "case $1 in --permanent|--state) exit 0;; *) exit 1;; esac");
  EXPECT_EQ(run(server::FirewallAction::kAsk, "10.20.20.2/32").value(), server::FirewallAnswer::kPartly);
}

TEST_F(RecordedFirewall, AFailureIsToldInItsWords) {
  install("firewall-cmd", "case $1 in --state) exit 0;; *) echo 'INVALID_RULE: oh' >&2; exit 122;; esac");
  const auto answer = run(server::FirewallAction::kOpen, "10.20.20.2/32");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, base::ErrorCode::kServerControl);
  EXPECT_NE(answer.error().message.find("INVALID_RULE"), std::string::npos);
  EXPECT_EQ(run(server::FirewallAction::kAsk, "10.20.20.2/32").value(), server::FirewallAnswer::kClosed);
}

TEST_F(RecordedFirewall, WhatIsNoAddressOfAStandbyIsRefusedBeforeAnythingRuns) {
  install("ufw", "");
  for (const char* address :
       {"10.20.20.2", "10.20.20.2/24", "0.0.0.0/0", "any", "10.20.20.2/32; reboot", ""}) {
    const auto answer = run(server::FirewallAction::kOpen, address);
    ASSERT_FALSE(answer) << address;
    EXPECT_EQ(answer.error().code, base::ErrorCode::kPermission);
  }
  EXPECT_FALSE(run(server::FirewallAction::kOpen, "10.20.20.2/32", 0));
  EXPECT_EQ(calls(), "");
}

}  // namespace
}  // namespace standfast::setup
