#include "clone/source.h"

#include <gtest/gtest.h>

namespace standfast::clone {
namespace {

using base::Error;
using base::ErrorCode;

Error promoted() {
  Error error(ErrorCode::kSql, "the standby was promoted during online backup");
  error.sqlstate = kSlotWrongState;
  return error;
}

TEST(StandbyError, APromotionIsAState) {
  const Error error = as_standby_error(promoted(), Left::kNothing);
  EXPECT_EQ(error.code, ErrorCode::kPrecondition);
  EXPECT_EQ(error.hint, "It is a primary now. What was copied is of no use and is not kept. Run this again.");
  EXPECT_EQ(as_standby_error(Error(ErrorCode::kSql, "else"), Left::kNothing).code, ErrorCode::kSql);
}

TEST(StandbyError, WhatIsKeptIsNotSaidToBeLost) {
  EXPECT_EQ(as_standby_error(promoted(), Left::kPart).hint, "It is a primary now. Run this again.");
  EXPECT_EQ(hint_after_promotion(Left::kPart), "Run this again.");
}

}  // namespace
}  // namespace standfast::clone
