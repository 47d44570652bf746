#include "setup/server_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace standfast::setup {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Key;
using testing::Not;
using testing::Pair;

constexpr const char* kFiles[] = {"passfile", "sslrootcert", "sslcert", "sslkey", "sslcrl", "requirepeer"};

ServerFacts standby_with(std::string conninfo) {
  ServerFacts facts;
  facts.is_in_recovery = true;
  facts.primary_conninfo = std::move(conninfo);
  return facts;
}

std::string with_every_file(std::string conninfo) {
  for (const std::string keyword : kFiles) conninfo += " " + keyword + "=/etc/shadow";
  return conninfo + " service=evil servicefile=/etc/shadow sslcrldir=/etc";
}

TEST(MonitorOfPrimary, StandbyOfAnotherHostChoosesNoFileHere) {
  const auto login = monitor_of_primary(standby_with(with_every_file("host=10.0.0.1 sslmode=verify-ca")));
  ASSERT_TRUE(login);
  EXPECT_THAT(login->parameters,
              AllOf(Contains(Pair("host", "10.0.0.1")), Contains(Pair("sslmode", "verify-ca")),
                    Contains(Pair("user", "standfast_monitor"))));
  for (const auto& [keyword, value] : login->parameters) EXPECT_EQ(value.find('/'), value.npos) << keyword;
}

TEST(MonitorOfPrimary, StandbyOfThisHostIsTakenAtItsWord) {
  ServerFacts standby = standby_with(with_every_file("host=10.0.0.1"));
  standby.is_behind_local_socket = true;
  const auto login = monitor_of_primary(standby);
  ASSERT_TRUE(login);
  for (const std::string keyword : kFiles) EXPECT_THAT(login->parameters, Contains(Key(keyword)));
  EXPECT_THAT(login->parameters, Not(Contains(Key("service"))));
}

TEST(MonitorOfPrimary, SocketOfAnotherHostIsNotOpenedHere) {
  for (const char* conninfo :
       {"port=5432", "host=/tmp", "host=10.0.0.1,/tmp", "host=@name", "host=10.0.0.1,"}) {
    const auto login = monitor_of_primary(standby_with(conninfo));
    ASSERT_FALSE(login) << conninfo;
    EXPECT_EQ(login.error().code, base::ErrorCode::kPrecondition);
  }
  EXPECT_TRUE(monitor_of_primary(standby_with("hostaddr=10.0.0.1")));
  ServerFacts ours = standby_with("host=/tmp");
  ours.is_behind_local_socket = true;
  EXPECT_TRUE(monitor_of_primary(ours));
}

}  // namespace
}  // namespace standfast::setup
