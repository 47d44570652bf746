#include "env/background_program.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/time.h"

namespace standfast::env {
namespace {

using base::ErrorCode;
using std::chrono_literals::operator""s;

class Background : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/background-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string log_path() const { return folder_ + "/log"; }
  std::string log() const {
    std::ostringstream text;
    text << std::ifstream(log_path()).rdbuf();
    return text.str();
  }
  bool log_becomes(const std::string& text) const {
    const auto deadline = base::Deadline::after(60s);
    while (log() != text && !deadline.passed()) usleep(5000);
    return log() == text;
  }
  BackgroundProgram start(std::string script) const {
    auto program = BackgroundProgram::start({.argv = {"/bin/sh", "-c", std::move(script)}}, log_path());
    EXPECT_TRUE(program.has_value());
    return *std::move(program);
  }

  std::string folder_;
};

TEST_F(Background, WritesBothStreamsToItsLogAndStops) {
  BackgroundProgram program =
      start("trap 'echo bye; exit 3' TERM; echo out; echo err >&2; while :; do sleep 0.01; done");
  ASSERT_TRUE(log_becomes("out\nerr\n"));
  struct stat info {};
  ASSERT_EQ(stat(log_path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  EXPECT_FALSE(program.exit_code().has_value());
  const auto code = program.stop(Wait::for_at_most(60s));
  ASSERT_TRUE(code.has_value()) << code.error().message;
  EXPECT_EQ(*code, 3);
  EXPECT_EQ(log(), "out\nerr\nbye\n");
}

TEST_F(Background, OneThatHasEndedIsKnown) {
  BackgroundProgram program = start("exit 7");
  const auto deadline = base::Deadline::after(60s);
  while (!program.exit_code() && !deadline.passed()) usleep(5000);
  EXPECT_EQ(program.exit_code(), 7);
  const auto code = program.stop(Wait::for_at_most(60s));
  ASSERT_TRUE(code.has_value());
  EXPECT_EQ(*code, 7);
}

TEST_F(Background, OneThatDoesNotListenIsKilled) {
  BackgroundProgram program = start("trap '' TERM; echo ready; while :; do sleep 0.01; done");
  ASSERT_TRUE(log_becomes("ready\n"));
  const pid_t pid = program.pid();
  const auto code = program.stop(Wait::for_at_most(std::chrono::milliseconds(50)));
  ASSERT_FALSE(code.has_value());
  EXPECT_EQ(code.error().code, ErrorCode::kTimeout);
  EXPECT_NE(kill(pid, 0), 0);
}

TEST_F(Background, IsKilledWithTheObjectUnlessItIsLeft) {
  pid_t killed = 0;
  {
    const BackgroundProgram program = start("while :; do sleep 0.01; done");
    killed = program.pid();
  }
  EXPECT_NE(kill(killed, 0), 0);
  pid_t left = 0;
  {
    BackgroundProgram program = start("while :; do sleep 0.01; done");
    left = program.pid();
    program.leave();
  }
  EXPECT_EQ(kill(left, 0), 0);
  kill(-left, SIGKILL);
  EXPECT_EQ(waitpid(left, nullptr, 0), left);
}

TEST_F(Background, WhatCannotBeRunIsSaidAtOnce) {
  const auto program = BackgroundProgram::start({.argv = {folder_ + "/nothing"}}, log_path());
  ASSERT_FALSE(program.has_value());
  EXPECT_NE(program.error().message.find("nothing"), std::string::npos);
  const auto without_log = BackgroundProgram::start({.argv = {"/bin/true"}}, folder_ + "/no/log");
  EXPECT_FALSE(without_log.has_value());
}

}  // namespace
}  // namespace standfast::env
