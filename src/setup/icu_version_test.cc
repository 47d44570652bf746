#include "setup/icu_version.h"

#include <gtest/gtest.h>

namespace standfast::setup {
namespace {

using std::string_literals::operator""s;

TEST(IcuVersion, NumberStandsInTheProgram) {
  EXPECT_EQ(icu_number("\0libicui18n.so.72\0libpq.so.5\0"s), "72");
  EXPECT_EQ(icu_number("libicui18n.so.\0"s), "");
  EXPECT_EQ(icu_number("libpq.so.5"), "");
}

TEST(IcuVersion, AnAnswerIsNumbersAndDotsAndNothingElse) {
  EXPECT_EQ(parse_icu_answer("153.120\n"), "153.120");
  for (const char* output : {"", "\n", "153.120", "153.120\n\n", "\x1b[2J\n", "12345678901234567890\n"})
    EXPECT_FALSE(parse_icu_answer(output)) << output;
}

TEST(IcuVersion, OnlyTheWholeQuestionIsAnswered) {
  const char* const other[] = {"standfast", "status", "-D", "/data"};
  EXPECT_FALSE(answer_icu_question(other));
  const char* const short_one[] = {"standfast", "--icu-collator-version-of"};
  EXPECT_FALSE(answer_icu_question(short_one));
  const char* const missing[] = {"standfast", "--icu-collator-version-of", "/nowhere", "none"};
  EXPECT_EQ(answer_icu_question(missing), 1);
}

}  // namespace
}  // namespace standfast::setup
