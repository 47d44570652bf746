#include "pg/format/utf8.h"

#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

TEST(Utf8, TakesWhatIsWellFormed) {
  for (const char* text : {"", "plain\n\\\"", "ä", "€", "😀", "\xED\x9F\xBF", "\xF4\x8F\xBF\xBF"})
    EXPECT_TRUE(is_utf8(text)) << text;
}

TEST(Utf8, RefusesWhatIsCutOffTooLongOrNoCharacter) {
  for (const char* text : {"b\xE4"
                           "d",
                           "\xC3", "\xE2\x82", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
                           "\xF4\x90\x80\x80", "\xFF", "\x80", "\xC3("})
    EXPECT_FALSE(is_utf8(text)) << text;
}

}  // namespace
}  // namespace standfast::pg
