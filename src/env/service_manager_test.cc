#include "env/service_manager.h"

#include <charconv>
#include <cstdlib>
#include <ctime>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace standfast::env {
namespace {

/// A manager that listens under an abstract name.
class ServiceManagerTest : public testing::Test {
 protected:
  ServiceManagerTest() : fd_(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    name_ = "@standfast-test-" + std::to_string(getpid());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name_.copy(address.sun_path, name_.size());
    address.sun_path[0] = '\0';
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size())),
              0);
  }
  ~ServiceManagerTest() override { close(fd_); }
  std::string heard() const {
    char text[4096];
    const ssize_t count = recv(fd_, text, sizeof text, 0);
    return count < 0 ? "" : std::string(text, static_cast<std::size_t>(count));
  }
  int fd_;
  std::string name_;
};

TEST_F(ServiceManagerTest, IsToldAsItUnderstands) {
  const ServiceManager manager(name_);
  ASSERT_TRUE(manager.is_there());
  manager.ready();
  EXPECT_EQ(heard(), "READY=1");
  manager.status("two\nlines");
  EXPECT_EQ(heard(), "STATUS=two lines");
  manager.status(std::string(10'000, 'x'));
  EXPECT_LT(heard().size(), 1000U);
  manager.stopping();
  EXPECT_EQ(heard(), "STOPPING=1");
}

TEST_F(ServiceManagerTest, AReloadBearsTheTimeOfItsBeginning) {
  const ServiceManager manager(name_);
  const auto microseconds = [] {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000LL + now.tv_nsec / 1000;
  };
  const long long before = microseconds();
  manager.reloading();
  const std::string text = heard();
  const std::string_view head = "RELOADING=1\nMONOTONIC_USEC=";
  ASSERT_TRUE(text.starts_with(head)) << text;
  long long told = 0;
  std::from_chars(text.data() + head.size(), text.data() + text.size(), told);
  EXPECT_GE(told, before);
  EXPECT_LE(told, microseconds());
}

TEST_F(ServiceManagerTest, IsTakenFromTheEnvironmentOnce) {
  setenv("NOTIFY_SOCKET", name_.c_str(), 1);
  const ServiceManager manager = ServiceManager::from_environment();
  EXPECT_TRUE(manager.is_there());
  EXPECT_EQ(getenv("NOTIFY_SOCKET"), nullptr);
  EXPECT_FALSE(ServiceManager::from_environment().is_there());
}

TEST(ServiceManager, WithoutOneNothingIsDone) {
  for (const char* name : {"", "@", "relative", "/nowhere/at/all"}) {
    const ServiceManager manager(name);
    EXPECT_FALSE(manager.is_there()) << name;
    manager.ready();
  }
  EXPECT_FALSE(ServiceManager("@" + std::string(200, 'x')).is_there());
}

}  // namespace
}  // namespace standfast::env
