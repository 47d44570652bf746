#include "clone/slot_take_up.h"

#include <deque>

#include <gtest/gtest.h>

#include "clone/source.h"

namespace standfast::clone {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Milliseconds kAtOnce(1);

Error said(std::string_view sqlstate) {
  Error error(ErrorCode::kSlot, "as it is");
  error.sqlstate = sqlstate;
  return error;
}

/// A server that answers so, and then always as the last time.
class Answers {
 public:
  explicit Answers(std::deque<Result<void>> answers) : answers_(std::move(answers)) {}
  Result<void> operator()() {
    ++asked;
    Result<void> answer = answers_.front();
    if (answers_.size() > 1) answers_.pop_front();
    return answer;
  }
  int asked = 0;

 private:
  std::deque<Result<void>> answers_;
};

TEST(WhenSlotIsFree, IsAskedOnceWhereItIs) {
  Answers answers({base::ok()});
  EXPECT_TRUE(when_slot_is_free(std::ref(answers), env::Wait::for_at_most(base::Seconds(60)), kAtOnce));
  EXPECT_EQ(answers.asked, 1);
}

TEST(WhenSlotIsFree, IsWaitedForWhileItIsInUse) {
  Answers answers({said(kSlotInUse), said(kSlotInUse), base::ok()});
  EXPECT_TRUE(when_slot_is_free(std::ref(answers), env::Wait::for_at_most(base::Seconds(60)), kAtOnce));
  EXPECT_EQ(answers.asked, 3);
}

TEST(WhenSlotIsFree, AnyOtherAnswerIsGivenAtOnce) {
  for (const std::string_view state : {kSlotUndefined, kSlotWrongState, std::string_view()}) {
    Answers answers({said(kSlotInUse), said(state), base::ok()});
    const auto answer =
        when_slot_is_free(std::ref(answers), env::Wait::for_at_most(base::Seconds(60)), kAtOnce);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().sqlstate, state);
    EXPECT_EQ(answers.asked, 2);
  }
}

TEST(WhenSlotIsFree, IsAskedOnceMoreAfterTheLastWaitAndThenGivenUp) {
  Answers answers({said(kSlotInUse)});
  // The wait is cut short by its end, which must not have come before the first answer on a busy machine.
  const auto answer =
      when_slot_is_free(std::ref(answers), env::Wait::for_at_most(base::Seconds(2)), base::Seconds(60));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().sqlstate, kSlotInUse);
  EXPECT_EQ(answers.asked, 2);
  Answers late({said(kSlotInUse)});
  EXPECT_FALSE(when_slot_is_free(std::ref(late), env::Wait::for_at_most(base::Seconds(0)), kAtOnce));
  EXPECT_EQ(late.asked, 1);
}

TEST(WhenSlotIsFree, AStopEndsTheWait) {
  env::StopEvent stop;
  Answers answers({said(kSlotInUse)});
  const auto attempt = [&]() -> Result<void> {
    if (answers.asked == 1) stop.set();
    return answers();
  };
  const auto answer = when_slot_is_free(attempt, env::Wait::for_at_most(base::Seconds(60), &stop), kAtOnce);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(answers.asked, 2);
}

}  // namespace
}  // namespace standfast::clone
