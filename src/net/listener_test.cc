#include "net/listener.h"

#include <gtest/gtest.h>

namespace standfast::net {
namespace {

TEST(ListenAddressText, HasAHostAndPerhapsAPort) {
  EXPECT_EQ(*parse_listen_address("10.20.20.3", 7), (ListenAddress{"10.20.20.3", 7}));
  EXPECT_EQ(*parse_listen_address("witness:5433", 7), (ListenAddress{"witness", 5433}));
  EXPECT_EQ(*parse_listen_address("::1", 7), (ListenAddress{"::1", 7}));
  EXPECT_EQ(*parse_listen_address("[fd00::1]:5433", 7), (ListenAddress{"fd00::1", 5433}));
  EXPECT_EQ(*parse_listen_address("[::]", 7), (ListenAddress{"::", 7}));
  for (const char* text : {"", ":5433", "host:", "host:x", "host:65536", "host:-1", "[::1", "[::1]5433",
                           "[]:1", "host:1:[", "[[::1]]:1"}) {
    EXPECT_FALSE(parse_listen_address(text, 7)) << text;
  }
  EXPECT_EQ(to_string({"fd00::1", 5433}), "[fd00::1]:5433");
  EXPECT_EQ(to_string({"10.20.20.3", 5433}), "10.20.20.3:5433");
}

TEST(Listener, SaysWhetherOtherHostsReachItAndWhatItsPortIs) {
  const auto loopback = Listener::open({"127.0.0.1", 0});
  ASSERT_TRUE(loopback) << loopback.error().message;
  ASSERT_EQ(loopback->size(), 1U);
  EXPECT_NE(loopback->front().bound().port, 0);
  EXPECT_EQ(loopback->front().reach(), Reach::kLoopback);
  EXPECT_FALSE(*loopback->front().accept());  // nobody is there
  const auto again = Listener::open(loopback->front().bound());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, base::ErrorCode::kInUse);
  EXPECT_EQ((*Listener::open({"0.0.0.0", 0})).front().reach(), Reach::kNetwork);
}

}  // namespace
}  // namespace standfast::net
