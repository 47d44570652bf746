#include "setup/firewall.h"

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

}  // namespace
}  // namespace standfast::setup
