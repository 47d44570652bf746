#include "env/network.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace standfast::env {
namespace {

TEST(Network, TheWayToOneselfStartsAtOneself) {
  EXPECT_EQ(*source_address_towards("127.0.0.1", 5432), "127.0.0.1");
  EXPECT_TRUE(is_local_address("127.0.0.1"));
  EXPECT_FALSE(is_local_address("192.0.2.1"));
  EXPECT_FALSE(is_local_address("localhost"));
}

TEST(Network, APortSomeoneListensOnIsNotFree) {
  auto port = find_free_port();
  // It may be another program's again at once, or have been so at another address.
  for (int i = 0; i < 20 && port && !is_port_free(*port); ++i) port = find_free_port();
  ASSERT_TRUE(port);
  EXPECT_TRUE(is_port_free(*port));
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(*port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  EXPECT_FALSE(is_port_free(*port));
  close(listener);
}

}  // namespace
}  // namespace standfast::env
