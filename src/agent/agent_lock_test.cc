#include "agent/agent_lock.h"

#include <cstdlib>

#include <gtest/gtest.h>
#include <unistd.h>

namespace standfast::agent {
namespace {

using base::ErrorCode;

class AgentLockTest : public ::testing::Test {
 protected:
  AgentLockTest() {
    char pattern[] = "/tmp/standfast-agent-lock-test-XXXXXX";
    folder_ = mkdtemp(pattern);
  }
  ~AgentLockTest() override { static_cast<void>(env::remove_tree(disk_, folder_)); }
  env::FileSystem& disk_ = env::posix_file_system();
  std::string folder_;
};

TEST_F(AgentLockTest, OneHasItAndIsNamed) {
  EXPECT_FALSE(find_agent(disk_, folder_)->has_value());
  {
    const auto lock = take_agent_lock(disk_, folder_);
    ASSERT_TRUE(lock) << lock.error().message;
    EXPECT_EQ((*find_agent(disk_, folder_))->pid, getpid());
    const auto second = take_agent_lock(disk_, folder_);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::kInUse);
    EXPECT_NE(second.error().message.find(std::to_string(getpid())), std::string::npos);
  }
  EXPECT_FALSE(find_agent(disk_, folder_)->has_value());
  EXPECT_FALSE(*stop_agent(disk_, folder_, env::Wait::for_at_most({})));
}

TEST_F(AgentLockTest, AProcessThatDidNotTakeItIsNeverSignalled) {
  // Whoever has that id now began at another time.
  const auto lock = env::LockFile::take(folder_ + "/agent.lock",
                                        "agent process " + std::to_string(getpid()) + " started at tick 1");
  ASSERT_TRUE(lock && *lock);
  EXPECT_FALSE((*find_agent(disk_, folder_))->pid.has_value());
  EXPECT_EQ(stop_agent(disk_, folder_, env::Wait::for_at_most({})).error().code, ErrorCode::kPrecondition);
}

}  // namespace
}  // namespace standfast::agent
