#include "cli/as_owner.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "env/process.h"

namespace standfast::cli {
namespace {

using base::ErrorCode;
using std::chrono_literals::operator""s;

env::FileSystem& files() {
  return env::posix_file_system();
}

class AsOwnerTest : public testing::Test {
 protected:
  AsOwnerTest() {
    char name[] = "/tmp/standfast-owner-test-XXXXXX";
    folder_ = mkdtemp(name);
    chmod(folder_.c_str(), 0755);
  }
  ~AsOwnerTest() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

class AsRootTest : public AsOwnerTest {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root can become someone else";
    const auto user = env::find_user("nobody");
    ASSERT_TRUE(user && *user);
    nobody_ = **user;
  }
  std::string data_of_nobody() {
    const std::string path = folder_ + "/data";
    std::filesystem::create_directories(path);
    EXPECT_EQ(chown(path.c_str(), nobody_.uid, nobody_.gid), 0);
    return path;
  }
  env::UserInfo nobody_;
};

TEST_F(AsRootTest, WorkIsDoneAsTheOwnerForGood) {
  const auto code =
      run_as_owner(files(), {.data_directory = data_of_nobody()}, [&](server::RootHelper* root) {
        const bool is_nobody = geteuid() == nobody_.uid && getuid() == nobody_.uid;
        return root != nullptr && is_nobody && setuid(0) != 0 ? 42 : 1;
      });
  ASSERT_TRUE(code.has_value());
  EXPECT_EQ(*code, 42);
  EXPECT_EQ(geteuid(), 0U);
}

TEST_F(AsRootTest, DirectoryOfRootIsRefused) {
  const auto code = run_as_owner(files(), {.data_directory = folder_}, [](server::RootHelper*) { return 0; });
  ASSERT_FALSE(code.has_value());
  EXPECT_EQ(code.error().code, ErrorCode::kPermission);
}

TEST_F(AsRootTest, MissingDirectoryIsThatOfTheFolderAboveIt) {
  const OwnerRule rule{.data_directory = data_of_nobody() + "/a/b",
                       .existence = DataDirectory::kMayBeMissing};
  const auto code =
      run_as_owner(files(), rule, [&](server::RootHelper*) { return geteuid() == nobody_.uid ? 0 : 1; });
  ASSERT_TRUE(code.has_value());
  EXPECT_EQ(*code, 0);
  const auto must =
      run_as_owner(files(), {.data_directory = rule.data_directory}, [](server::RootHelper*) { return 0; });
  ASSERT_FALSE(must.has_value());
  EXPECT_EQ(must.error().code, ErrorCode::kPrecondition);
}

TEST_F(AsRootTest, NamedUserIsTakenWhereNothingTells) {
  const OwnerRule rule{.data_directory = "", .existence = DataDirectory::kMayBeMissing, .user = "nobody"};
  const auto code =
      run_as_owner(files(), rule, [&](server::RootHelper*) { return geteuid() == nobody_.uid ? 0 : 1; });
  ASSERT_TRUE(code.has_value());
  EXPECT_EQ(*code, 0);
  const auto unknown = run_as_owner(files(), {.data_directory = "", .user = "no-such-user-here"},
                                    [](server::RootHelper*) { return 0; });
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().code, ErrorCode::kPrecondition);
  const auto root =
      run_as_owner(files(), {.data_directory = "", .user = "root"}, [](server::RootHelper*) { return 0; });
  ASSERT_FALSE(root.has_value());
}

TEST_F(AsRootTest, SignalThatEndedTheChildIsItsExitCode) {
  const auto code = run_as_owner(files(), {.data_directory = data_of_nobody()},
                                 [](server::RootHelper*) { return raise(SIGKILL); });
  ASSERT_TRUE(code.has_value());
  EXPECT_EQ(*code, 128 + SIGKILL);
}

TEST_F(AsRootTest, RequestForAForeignUnitIsRefused) {
  const auto code = run_as_owner(files(), {.data_directory = data_of_nobody()}, [](server::RootHelper* root) {
    const auto done = root->control_unit(server::UnitAction::kStop, "postgresql@15-main.service",
                                         env::Wait::for_at_most(60s));
    return !done && done.error().code == ErrorCode::kPermission ? 0 : 1;
  });
  ASSERT_TRUE(code.has_value());
  EXPECT_EQ(*code, 0);
}

/// Runs a command that waits until it is stopped in a process group of its own, then sends the signal.
int exit_code_after(const std::string& data, const std::function<void(pid_t)>& send) {
  int ready[2];
  EXPECT_EQ(pipe(ready), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    const auto code = run_as_owner(files(), {.data_directory = data}, [&](server::RootHelper*) {
      static env::StopEvent stop;
      env::stop_on_signals(stop);
      if (write(ready[1], "x", 1) != 1) return 9;
      const auto woken = env::wait_for(-1, 0, env::Wait::for_at_most(60s, &stop));
      // Whatever else was sent has come by now.
      static_cast<void>(env::wait_for(-1, 0, env::Wait::for_at_most(1s)));
      return woken == env::Ready::kStopped ? 4 : 8;
    });
    _exit(code ? *code : 7);
  }
  char byte = 0;
  EXPECT_EQ(read(ready[0], &byte, 1), 1);
  close(ready[0]);
  close(ready[1]);
  send(pid);
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST_F(AsRootTest, SignalsAreHandedOnOnce) {
  const std::string data = data_of_nobody();
  EXPECT_EQ(exit_code_after(data, [](pid_t pid) { kill(pid, SIGTERM); }), 4);
  EXPECT_EQ(exit_code_after(data, [](pid_t pid) { kill(pid, SIGINT); }), 4);
  // To the whole group, as a terminal and many a script send it.
  EXPECT_EQ(exit_code_after(data, [](pid_t pid) { kill(-pid, SIGINT); }), 4);
}

class AsOrdinaryUserTest : public AsOwnerTest {
 protected:
  void SetUp() override {
    if (geteuid() == 0) GTEST_SKIP() << "root becomes the owner";
  }
};

TEST_F(AsOrdinaryUserTest, OwnerDoesItHimself) {
  const auto code = run_as_owner(files(), {.data_directory = folder_},
                                 [](server::RootHelper* root) { return root == nullptr ? 5 : 1; });
  ASSERT_TRUE(code.has_value());
  EXPECT_EQ(*code, 5);
}

TEST_F(AsOrdinaryUserTest, DirectoryOfSomeoneElseIsRefused) {
  const auto code = run_as_owner(files(), {.data_directory = "/etc"}, [](server::RootHelper*) { return 0; });
  ASSERT_FALSE(code.has_value());
  EXPECT_EQ(code.error().code, ErrorCode::kPermission);
}

}  // namespace
}  // namespace standfast::cli
