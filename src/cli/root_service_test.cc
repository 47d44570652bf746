#include "cli/root_service.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <unistd.h>

namespace standfast::cli {
namespace {

namespace fs = std::filesystem;
using base::ErrorCode;
using server::FirewallAction;
using server::FirewallRequest;

env::FileSystem& files() {
  return env::posix_file_system();
}

FirewallRequest request(FirewallAction action, const std::string& address, std::uint16_t port = 5432) {
  return {action, address, port};
}

TEST(FirewallLeaves, OnlyWhatTheUserNamedToRootIsLetIn) {
  for (const auto& addresses : {std::vector<std::string>{}, std::vector<std::string>{"10.20.20.3/32"}}) {
    FirewallLeave leave(addresses);
    for (const auto action : {FirewallAction::kAsk, FirewallAction::kOpen, FirewallAction::kClose}) {
      const auto admitted = leave.admit(request(action, "10.20.20.2/32"));
      ASSERT_FALSE(admitted.has_value());
      EXPECT_EQ(admitted.error().code, ErrorCode::kPermission);
    }
  }
}

TEST(FirewallLeaves, TheFirstPortIsTheRunsOnlyOne) {
  FirewallLeave leave({"10.20.20.2/32", "10.20.20.3/32"});
  // Not of this run at all, so its port is not this run's either.
  EXPECT_FALSE(leave.admit(request(FirewallAction::kAsk, "10.20.20.9/32", 22)).has_value());
  EXPECT_TRUE(leave.admit(request(FirewallAction::kAsk, "10.20.20.2/32", 5433)).has_value());
  EXPECT_TRUE(leave.admit(request(FirewallAction::kOpen, "10.20.20.3/32", 5433)).has_value());
  for (const auto action : {FirewallAction::kAsk, FirewallAction::kOpen, FirewallAction::kClose}) {
    const auto other = leave.admit(request(action, "10.20.20.2/32", 22));
    ASSERT_FALSE(other.has_value());
    EXPECT_EQ(other.error().code, ErrorCode::kPermission);
  }
}

TEST(FirewallLeaves, ARunWithAnAgentHasTwoPorts) {
  FirewallLeave leave({"10.20.20.2/32"}, 2);
  EXPECT_TRUE(leave.admit(request(FirewallAction::kOpen, "10.20.20.2/32", 5432)).has_value());
  EXPECT_TRUE(leave.admit(request(FirewallAction::kOpen, "10.20.20.2/32", 7432)).has_value());
  EXPECT_FALSE(leave.admit(request(FirewallAction::kOpen, "10.20.20.2/32", 22)).has_value());
  leave.note_opened(request(FirewallAction::kOpen, "10.20.20.2/32", 7432));
  EXPECT_EQ(leave.admit(request(FirewallAction::kClose, "10.20.20.2/32", 5432))->action,
            FirewallAction::kAsk);
  EXPECT_EQ(leave.admit(request(FirewallAction::kClose, "10.20.20.2/32", 7432))->action,
            FirewallAction::kClose);
  ASSERT_EQ(leave.closings().size(), 1U);
  EXPECT_EQ(leave.closings()[0].port, 7432);
}

TEST(FirewallLeaves, OnlyWhatThisRunOpenedIsClosed) {
  FirewallLeave leave({"10.20.20.2/32", "10.20.20.3/32"});
  const auto close = request(FirewallAction::kClose, "10.20.20.2/32");
  EXPECT_EQ(leave.admit(close)->action, FirewallAction::kAsk);
  leave.note_opened(request(FirewallAction::kOpen, "10.20.20.2/32"));
  EXPECT_EQ(leave.admit(close)->action, FirewallAction::kClose);
  EXPECT_EQ(leave.admit(request(FirewallAction::kClose, "10.20.20.3/32"))->action, FirewallAction::kAsk);
  ASSERT_EQ(leave.closings().size(), 1U);
  EXPECT_EQ(leave.closings()[0].address_cidr, "10.20.20.2/32");
  EXPECT_EQ(leave.closings()[0].port, 5432);
  leave.note_closed(close);
  EXPECT_EQ(leave.admit(close)->action, FirewallAction::kAsk);
  EXPECT_TRUE(leave.closings().empty());
}

class HeldDirectoryTest : public testing::Test {
 protected:
  HeldDirectoryTest() {
    char name[] = "/tmp/standfast-held-test-XXXXXX";
    root_ = mkdtemp(name);
    fs::create_directories(root_ + "/mine/data");
    fs::create_directories(root_ + "/theirs/data");
  }
  ~HeldDirectoryTest() override { fs::remove_all(root_); }
  HeldDirectory hold(const std::string& path) { return hold_directory(files(), path, geteuid()).value(); }

  std::string root_;
};

TEST_F(HeldDirectoryTest, CopyThatTakesThePlaceOfTheOldOneIsTheSame) {
  fs::create_symlink(root_ + "/mine/data", root_ + "/link");
  const auto held = hold(root_ + "/link");
  EXPECT_TRUE(find_held(files(), held));
  fs::rename(root_ + "/mine/data", root_ + "/mine/data.old");
  EXPECT_FALSE(find_held(files(), held));
  fs::create_directory(root_ + "/mine/data");
  EXPECT_TRUE(find_held(files(), held));
}

TEST_F(HeldDirectoryTest, FolderThatWasExchangedIsNot) {
  const auto held = hold(root_ + "/mine/data");
  fs::rename(root_ + "/mine", root_ + "/away");
  fs::create_symlink(root_ + "/theirs", root_ + "/mine");
  EXPECT_FALSE(find_held(files(), held));
  fs::remove(root_ + "/mine");
  fs::rename(root_ + "/theirs", root_ + "/mine");
  const auto still = find_held(files(), held);
  ASSERT_FALSE(still.has_value());
  EXPECT_EQ(still.error().code, ErrorCode::kPermission);
}

TEST_F(HeldDirectoryTest, LinkInItsPlaceIsNot) {
  const auto held = hold(root_ + "/mine/data");
  fs::remove(root_ + "/mine/data");
  fs::create_symlink(root_ + "/theirs/data", root_ + "/mine/data");
  EXPECT_FALSE(find_held(files(), held));
}

TEST_F(HeldDirectoryTest, LinkToADirectoryThatAKilledRunMovedAsideLeadsToItAgain) {
  fs::create_symlink(root_ + "/mine/moved", root_ + "/link");
  auto held = hold(root_ + "/link");
  EXPECT_FALSE(find_held(files(), held));
  fs::create_directory(root_ + "/mine/moved");
  const auto again = find_held(files(), held);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(*again, root_ + "/mine/moved");
  held.owner = geteuid() + 1;
  EXPECT_FALSE(find_held(files(), held));
}

TEST_F(HeldDirectoryTest, DirectoryOfSomebodyElseIsNot) {
  auto held = hold(root_ + "/mine/data");
  held.owner = geteuid() + 1;
  EXPECT_FALSE(find_held(files(), held));
}

TEST_F(HeldDirectoryTest, OneThatIsMadeOnlyLaterIsItsOwners) {
  const auto held = hold(root_ + "/new/data");
  EXPECT_FALSE(find_held(files(), held));
  fs::create_directories(root_ + "/new/data");
  EXPECT_TRUE(find_held(files(), held));
  EXPECT_FALSE(find_held(files(), hold("")));
}

TEST_F(HeldDirectoryTest, UnitIsLeftAloneWhenItRunsAnotherOrTheDirectoryIsExchanged) {
  const auto held = hold(root_ + "/mine/data");
  for (const char* message :
       {"stop 1000 postgresql@15-main.service", "stop 1000 sshd.service", "firewall-wipe"}) {
    const auto served = serve_unit_request(files(), held, message);
    ASSERT_FALSE(served.has_value()) << message;
    EXPECT_EQ(served.error().code, ErrorCode::kPermission);
  }
  fs::rename(root_ + "/mine", root_ + "/away");
  fs::create_symlink(root_ + "/theirs", root_ + "/mine");
  const auto served = serve_unit_request(files(), held, "stop 1000 postgresql@15-main.service");
  ASSERT_FALSE(served.has_value());
  EXPECT_NE(served.error().message.find("not the data directory any more"), std::string::npos);
}

class AgentConfiguration : public HeldDirectoryTest {
 protected:
  std::string text() const {
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }
  std::string path_ = root_ + "/etc/standfast/standfast.toml";
};

TEST_F(AgentConfiguration, WithoutLeaveNothingIsWritten) {
  const RootLeave leave{hold(root_ + "/mine/data"), FirewallLeave({})};
  const auto served = serve_agent_request(files(), leave, path_, base::Milliseconds(5000));
  ASSERT_FALSE(served.has_value());
  EXPECT_EQ(served.error().code, ErrorCode::kPermission);
  EXPECT_FALSE(fs::exists(root_ + "/etc"));
}

TEST_F(AgentConfiguration, IsWrittenOnceAndNotChanged) {
  const std::string data = fs::canonical(root_).string() + "/mine/da\"ta";
  fs::create_directories(data);
  ASSERT_TRUE(configure_agent(files(), path_, data));
  const std::string written = text();
  EXPECT_EQ(written, "[agent]\ndata_directory = \"" + fs::canonical(root_).string() + "/mine/da\\\"ta\"\n");
  EXPECT_TRUE(configure_agent(files(), path_, data));
  EXPECT_EQ(text(), written);
  const auto other = configure_agent(files(), path_, fs::canonical(root_).string() + "/mine/data");
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code, ErrorCode::kPrecondition);
  EXPECT_EQ(text(), written);
  EXPECT_EQ(configure_agent(files(), root_ + "/new", "/da\nta").error().code, ErrorCode::kUsage);
}

}  // namespace
}  // namespace standfast::cli
