#include "clone/lasting_stream.h"

#include <vector>

#include <gtest/gtest.h>

#include "clone/agent_copy.h"
#include "clone/copy_source_support.h"
#include "env/simulated_disk.h"

namespace standfast::clone {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using testing::MemorySource;

class LastingStreamTest : public ::testing::Test {
 protected:
  void SetUp() override {
    source_.tree = {
        {"base", std::nullopt}, {"global", std::nullopt}, {"global/pg_control", std::string(8192, 'c')}};
    for (int i = 0; i < 10; ++i)
      source_.tree["base/" + std::to_string(i)] = std::string(20'000, static_cast<char>('a' + i));
    rules_.first_pause = base::Milliseconds(1);
    rules_.on_break = [this](const Error& broke) { breaks_.push_back(broke.message); };
  }

  /// Counts, and does not always come to be.
  OpenCopyStream opener() {
    return [this](const env::StopEvent& stop) -> Result<std::unique_ptr<CopyStream>> {
      ++opened_;
      if (refuses_) TRY(refuses_(opened_));
      return source_.opener()(stop);
    };
  }
  Result<std::unique_ptr<CopyStream>> open() { return lasting(opener(), rules_)(stop_); }

  static agent::FileRange range(std::uint64_t offset) { return {offset, 100}; }

  MemorySource source_;
  env::StopEvent stop_;
  LastingRules rules_;
  std::function<Result<void>(int)> refuses_;
  int opened_ = 0;
  std::vector<std::string> breaks_;
};

TEST_F(LastingStreamTest, WhatWasOnItsWayComesInItsOrderAfterABreak) {
  const auto entries = source_.list();
  source_.before_answer = [](std::size_t count) -> Result<void> {
    if (count == 1 || count == 2) return Error(count == 1 ? ErrorCode::kConnect : ErrorCode::kTimeout, "cut");
    return base::ok();
  };
  const auto stream = open();
  ASSERT_TRUE(stream);
  for (std::uint32_t file = 1; file <= 3; ++file) ASSERT_TRUE((*stream)->ask_bytes(file, range(file)));
  for (std::uint32_t file = 1; file <= 3; ++file) {
    const auto taken = (*stream)->take_bytes();
    ASSERT_TRUE(taken) << taken.error().message;
    EXPECT_EQ(base::as_text(taken->plain), std::string(100, static_cast<char>('a' + file - 1)));
  }
  ASSERT_TRUE((*stream)->ask_hashes({.file = 1, .offset = 0, .length_bytes = 8192, .run_bytes = 4096}));
  EXPECT_EQ((*stream)->take_hashes()->hashes.size(), 2U);
  EXPECT_EQ(opened_, 3);
  EXPECT_EQ(breaks_, (std::vector<std::string>{"cut", "cut"}));
}

TEST_F(LastingStreamTest, AttemptsAreFewAndAnAnswerMakesThemNew) {
  source_.before_answer = [](std::size_t count) -> Result<void> {
    return count % 5 == 4 ? base::ok() : Result<void>(Error(ErrorCode::kConnect, "cut"));
  };
  const auto entries = source_.list();
  const auto stream = open();
  ASSERT_TRUE(stream);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE((*stream)->ask_bytes(1, range(0)));
    ASSERT_TRUE((*stream)->take_bytes()) << i;
  }
  EXPECT_EQ(opened_, 1 + 4 * 4);
  source_.before_answer = [](std::size_t) -> Result<void> { return Error(ErrorCode::kConnect, "cut"); };
  ASSERT_TRUE((*stream)->ask_bytes(1, range(0)));
  const int before = opened_;
  const auto failed = (*stream)->take_bytes();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kConnect);
  EXPECT_EQ(failed.error().message, "cut");
  EXPECT_EQ(opened_ - before, rules_.attempts);
}

TEST_F(LastingStreamTest, ASourceThatIsNotThereForAMomentIsAwaited) {
  refuses_ = [](int count) -> Result<void> {
    return count % 4 == 0 ? base::ok() : Result<void>(Error(ErrorCode::kConnect, "refused"));
  };
  source_.before_answer = [](std::size_t count) -> Result<void> {
    return count == 0 ? Result<void>(Error(ErrorCode::kConnect, "cut")) : base::ok();
  };
  const auto entries = source_.list();
  const auto stream = open();
  ASSERT_TRUE(stream);
  EXPECT_EQ(opened_, 4);
  EXPECT_TRUE(breaks_.empty());
  ASSERT_TRUE((*stream)->ask_bytes(1, range(0)));
  refuses_ = [](int) -> Result<void> { return Error(ErrorCode::kConnect, "refused"); };
  const auto failed = (*stream)->take_bytes();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "cut, and no other connection came: refused");
  const auto never = open();
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error().message, "refused");
}

TEST_F(LastingStreamTest, OtherFailuresAreNoBreaks) {
  const auto entries = source_.list();
  const auto stream = open();
  ASSERT_TRUE(stream);
  source_.before_answer = [](std::size_t) -> Result<void> { return Error(ErrorCode::kProtocol, "nonsense"); };
  ASSERT_TRUE((*stream)->ask_bytes(1, range(0)));
  EXPECT_EQ((*stream)->take_bytes().error().message, "nonsense");
  source_.before_answer = [](std::size_t) -> Result<void> { return Error(ErrorCode::kConnect, "cut"); };
  refuses_ = [](int) -> Result<void> { return Error(ErrorCode::kPrecondition, "the backup is gone"); };
  ASSERT_TRUE((*stream)->ask_bytes(1, range(0)));
  EXPECT_EQ((*stream)->take_bytes().error().message, "the backup is gone");
  EXPECT_EQ(opened_, 2);
}

TEST_F(LastingStreamTest, AStopEndsAPause) {
  rules_.first_pause = base::Seconds(100);
  rules_.patience = base::Seconds(1000);
  refuses_ = [this](int) -> Result<void> {
    stop_.set();
    return Error(ErrorCode::kConnect, "refused");
  };
  EXPECT_EQ(open().error().code, ErrorCode::kCancelled);
}

TEST_F(LastingStreamTest, PatienceEndsWhatAttemptsDoNot) {
  rules_.attempts = 1'000'000;
  rules_.patience = base::Milliseconds(20);
  refuses_ = [](int) -> Result<void> { return Error(ErrorCode::kConnect, "refused"); };
  EXPECT_EQ(open().error().message, "refused");
}

TEST_F(LastingStreamTest, ACopyOverALinkThatBreaksAllTheTimeIsWhole) {
  env::testing::SimulatedDisk disk;
  ASSERT_TRUE(disk.make_directory("/data", 0700));
  rules_.on_break = {};
  source_.before_answer = [](std::size_t count) -> Result<void> {
    return count % 3 == 1 ? Result<void>(Error(ErrorCode::kConnect, "cut")) : base::ok();
  };
  AgentCopyOptions options;
  options.places.data_folder = "/data";
  options.streams = 2;
  options.work = {.stretch_bytes = 8192, .small_unit_bytes = 8192, .max_pieces = 4};
  const auto entries = source_.list();
  const OpenCopyStream open_stream = lasting(source_.opener(), rules_);
  const auto copied = copy_from_agent(entries, options, {disk, stop_, open_stream});
  ASSERT_TRUE(copied) << copied.error().message;
  ASSERT_TRUE(place_control_file(disk, *copied, options.sync));
  EXPECT_EQ(testing::tree_of(disk, "/data"), source_.tree);
  EXPECT_EQ(copied->progress.fetched_bytes, copied->progress.total_bytes);
}

}  // namespace
}  // namespace standfast::clone
