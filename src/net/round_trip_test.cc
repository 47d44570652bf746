#include "net/round_trip.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/connect.h"
#include "net/listener.h"

namespace standfast::net {
namespace {

TEST(RoundTrip, IsOfAConnection) {
  auto listener = Listener::open({"127.0.0.1", 0});
  ASSERT_TRUE(listener) << listener.error().message;
  const env::StopEvent stop;
  const base::Stopwatch watch;
  const auto fd = connect_to({"127.0.0.1", listener->front().bound().port},
                             env::Wait::for_at_most(base::Seconds(60), &stop));
  ASSERT_TRUE(fd) << fd.error().message;
  const auto round_trip = shortest_round_trip(*fd);
  close(*fd);
  ASSERT_TRUE(round_trip);
  EXPECT_GT(round_trip->count(), 0);
  // There was but one, within the time that it took to connect; a busy machine makes that long.
  EXPECT_LT(*round_trip, watch.elapsed() + std::chrono::seconds(1));
}

TEST(RoundTrip, IsNotKnownOfOtherThings) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  EXPECT_FALSE(shortest_round_trip(ends[0]));
  close(ends[0]);
  close(ends[1]);
  EXPECT_FALSE(shortest_round_trip(-1));
}

}  // namespace
}  // namespace standfast::net
